/**
 * What runs in the server (E19). One call is all or nothing to everybody else, but Lua stops where it fails: so whatever can fail is
 * asked before the first write, each command runs by `pcall`, and the guard is set last.
 *
 * A ledger is one hash for each app, output and slot: `epoch` is the fence (E8); `newest`, `plan` and `partitions` are those of the newest
 * batch (E1); the guard of partition n is the field `g` + n, "TIME COUNT TOTAL": of TOTAL commands, by their places from 0, those below
 * COUNT have been run. `f` + guard: the places of those that the server refused, with its words, until their dead letters are
 * written. `i` + guard: of dead letters, the indexes that are stored (E18).
 */
import { createHash } from 'node:crypto'

export interface Script {
  readonly source: string
  readonly sha: string
}

function script(...parts: readonly string[]): Script {
  const source = parts.join('\n')
  return { source, sha: createHash('sha1').update(source).digest('hex') }
}

/** Whether a command's error is the record's fault: any other one would meet the next record, too. */
const TOOLS = `
local A = ARGV
local function isRefusal(err)
  return string.sub(err, 1, 9) == 'WRONGTYPE' or string.sub(err, 1, 4) == 'ERR '
end
local function whole(n) return string.format('%d', n) end
`

/** A lower epoch than the fence's may not write. \`lazy\`: a slot's fence is made, or raised, by its first write. */
const FENCE = `
local function fenced(held, epoch, lazy)
  if not held then
    if lazy then return nil end
    return {'fence', ''}
  end
  local n = tonumber(held)
  if n > epoch or (n < epoch and not lazy) then return {'fence', held} end
  return nil
end
`

/**
 * KEYS: the ledger, then those of the commands. ARGV: time, partitions, digest, epoch, guard, start, total, end, lazy, strict, and
 * the places of the commands as JSON where they are indexes of dead letters. Then as in {@link COMMANDS}.
 */
const OPEN_GUARD = `
local time, epoch, F = tonumber(A[1]), tonumber(A[4]), A[5]
local start, total, finish = tonumber(A[6]), tonumber(A[7]), tonumber(A[8])
local lazy, strict = A[9] == '1', A[10] == '1'
local places = A[11] ~= '' and cjson.decode(A[11]) or nil
local L, K, at = KEYS[1], 1, 12
local h = redis.call('HMGET', L, 'epoch', 'newest', 'plan', 'partitions', F, 'f' .. F, 'i' .. F)
local wrong = fenced(h[1], epoch, lazy)
if wrong then return wrong end
local newest, plan = tonumber(h[2] or '-1'), A[2] .. ' ' .. A[3]
if newest > time or (newest == time and h[3] ~= plan) then return {'conflict', h[2]} end
local count, before, pending, waiting, stored = 0, total, {}, 0, {}
if h[5] then
  local t, c, n = string.match(h[5], '^(%d+) (%d+) (%d+)$')
  if tonumber(t) == time then
    count, before = tonumber(c), tonumber(n)
    if h[6] then
      for _, f in ipairs(cjson.decode(h[6])) do pending[f[1]] = f[2]; waiting = waiting + 1 end
    end
    if h[7] then for _, i in ipairs(cjson.decode(h[7])) do stored[i] = true end end
  end
end
local isWhole = count >= before and h[5] ~= false
if strict and before ~= total then
  if not isWhole or (waiting > 0 and total ~= before - waiting) then return {'records', whole(count), whole(before)} end
  -- What it refused has its dead letters, and is left out now.
  redis.call('HSET', L, 'epoch', A[4])
  redis.call('HDEL', L, 'f' .. F)
  return {'ok', 'whole', whole(before)}
end
if start > count then return {'gap', whole(count)} end
-- The first write: where none is allowed, this raises before anything has been done.
redis.call('HSET', L, 'epoch', A[4])
if newest < time then
  redis.call('HSET', L, 'newest', A[1], 'plan', plan, 'partitions', A[2])
  for p = tonumber(A[2]), tonumber(h[4] or '0') - 1 do
    for _, name in ipairs({'g' .. p, 'h' .. p}) do redis.call('HDEL', L, name, 'f' .. name, 'i' .. name) end
  end
end
local function isDue(place)
  if places then return not stored[place] end
  return place >= count or pending[place] ~= nil
end
`

const NO_GUARD = `
local places, pending, stored, K, at = nil, {}, {}, 0, 2
local start = tonumber(A[1])
local function isDue() return true end
`

/** ARGV: how many commands, their name, the type of their keys, the words of each, what comes after as JSON; then their words. */
const COMMANDS = `
local n, name, kind, width = tonumber(A[at]), A[at + 1], A[at + 2], tonumber(A[at + 3])
local isKeyed, after = A[at + 4] == '1', cjson.decode(A[at + 5])
at = at + 6
local types, written, order = {}, {}, {}
local function custom(from, to)
  local err
  while from <= to do
    local words = tonumber(A[from])
    local answer = redis.pcall(unpack(A, from + 1, from + words))
    if type(answer) == 'table' and answer.err then return answer.err end
    from = from + words + 1
  end
end
local function attempt(key, from, to)
  if kind ~= '' and types[key] ~= kind then
    local found = redis.pcall('TYPE', key)
    if found.err then return found.err end
    if found.ok ~= 'none' and found.ok ~= kind then return 'WRONGTYPE the key holds a ' .. found.ok .. ', not a ' .. kind end
    types[key] = kind
  end
  if name == '' then return custom(from, to) end
  local answer = redis.pcall(name, key, unpack(A, from, to))
  if type(answer) == 'table' and answer.err then return answer.err end
end
local stop, stopAt
for i = 1, n do
  local place = places and places[i] or start + i - 1
  local words = width
  if words == 0 then words = tonumber(A[at]); at = at + 1 end
  if isDue(place) then
    local key = isKeyed and KEYS[K + i] or A[at]
    local from = isKeyed and at or at + 1
    local err = attempt(key, from, at + words - 1)
    if err and not isRefusal(err) then
      stop, stopAt = err, place
      break
    end
    pending[place] = err
    if not err then
      stored[place] = true
      if not written[key] then written[key] = true; order[#order + 1] = key end
    end
  end
  at = at + words
end
if isKeyed then
  for _, key in ipairs(order) do
    for _, a in ipairs(after) do redis.pcall(a[1], key, unpack(a, 2)) end
  end
end
local refused = {}
for place, err in pairs(pending) do refused[#refused + 1] = {place, err} end
table.sort(refused, function(a, b) return a[1] < b[1] end)
`

/** The guard is set last. What \`stop\` says is told, with the guard where it came to. */
const CLOSE_GUARD = `
local reached = stop and stopAt or finish
if not places and reached > count then count = reached end
if places and not stop then count = finish end
redis.call('HSET', L, F, A[1] .. ' ' .. whole(count) .. ' ' .. whole(total))
if #refused > 0 then redis.call('HSET', L, 'f' .. F, cjson.encode(refused)) else redis.call('HDEL', L, 'f' .. F) end
local indexes = {}
for index in pairs(stored) do indexes[#indexes + 1] = index end
if places and #indexes > 0 then redis.call('HSET', L, 'i' .. F, cjson.encode(indexes)) else redis.call('HDEL', L, 'i' .. F) end
`

const ANSWER = `
local answer = {stop and 'stopped' or 'ok', stop or '', whole(count or 0)}
for _, f in ipairs(refused) do answer[#answer + 1] = whole(f[1]); answer[#answer + 1] = f[2] end
return answer
`

/** Runs commands once: those that the guard has not yet. */
export const APPLY = script(TOOLS, FENCE, OPEN_GUARD, COMMANDS, CLOSE_GUARD, ANSWER)

/** Runs commands, without a ledger. ARGV: start; then as in {@link COMMANDS}. */
export const APPLY_BLINDLY = script(TOOLS, NO_GUARD, COMMANDS, 'local count', ANSWER)

/** KEYS: the ledger. ARGV: epoch, time of the last planned batch or nothing. Claims the fence. */
export const CLAIM = script(`
local h = redis.call('HMGET', KEYS[1], 'epoch', 'newest')
if h[1] and tonumber(h[1]) > tonumber(ARGV[1]) then return {'fence', h[1]} end
if h[2] and (ARGV[2] == '' or tonumber(h[2]) > tonumber(ARGV[2])) then return {'ahead', h[2]} end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1])
return {'ok'}
`)

/** KEYS: the ledger. ARGV: epoch, time, guard, lazy. The dead letters of what the guard refused are written. */
export const SETTLE = script(
  FENCE,
  `
local h = redis.call('HMGET', KEYS[1], 'epoch', ARGV[3])
local wrong = fenced(h[1], tonumber(ARGV[1]), ARGV[4] == '1')
if wrong then return wrong end
if h[2] and string.match(h[2], '^(%d+) ') == ARGV[2] then redis.call('HDEL', KEYS[1], 'f' .. ARGV[3]) end
return {'ok'}
`,
)

/** KEYS: the ledger. ARGV: a key or channel, and commands. Answers with those that this user may not run there. */
export const ASK_PERMISSION = script(`
local denied = {}
if not redis.acl_check_cmd then return denied end
for i = 2, #ARGV do
  local known, allowed = pcall(redis.acl_check_cmd, ARGV[i], ARGV[1], 'x', 'x')
  if not known or not allowed then denied[#denied + 1] = ARGV[i] end
end
return denied
`)

/** KEYS: a hash. Its fields and values in turn, by whatever client: some make objects of them, which not every name survives. */
export const ALL_FIELDS = script(`return redis.call('HGETALL', KEYS[1])`)

/** KEYS: a hash. ARGV: pairs of fields; for each its name, how many values may be there (empty: none), these, and the new one. */
export const SWAP = script(`
local at, names, values = 1, {}, {}
while at <= #ARGV do
  local name, n = ARGV[at], tonumber(ARGV[at + 1])
  local found = redis.call('HGET', KEYS[1], name) or ''
  local isKnown = found == ARGV[at + 2 + n]
  for i = at + 2, at + 1 + n do if ARGV[i] == found then isKnown = true end end
  if not isKnown then return {'other', name} end
  names[#names + 1], values[#values + 1] = name, ARGV[at + 2 + n]
  at = at + n + 3
end
for i = 1, #names do redis.call('HSET', KEYS[1], names[i], values[i]) end
return {'ok'}
`)
