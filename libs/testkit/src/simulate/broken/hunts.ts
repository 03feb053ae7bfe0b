/** Series of simulated runs, each of which finds some of the broken engines, and nothing in the whole one. */
import type { DeathTime, FaultKind, Faults } from '../faults.js'
import type { DiskLayout } from '../sim-disk.js'

/** How a process ends, or is hurt, at each of its operations in turn. */
interface Blow {
  readonly kind: FaultKind
  readonly when?: DeathTime | undefined
  readonly pattern?: number | undefined
}

export interface Hunt {
  readonly scenario: string
  readonly batches: number
  readonly layout?: DiskLayout | undefined
  /** One run without a fault, then one for each operation and each of these. */
  readonly blows?: readonly Blow[] | undefined
  /** Operations that blows come at, as traces tell them. Default: all. */
  readonly at?: RegExp | undefined
  /** Runs with random faults, from this seed on. */
  readonly seeds?: { readonly first: number; readonly count: number; readonly faults: Faults } | undefined
  /** On an engine that cuts its log into small segments and writes snapshots all the time. */
  readonly isTuned?: boolean | undefined
}

const killed: Blow = { kind: 'kill', when: 'after' }
const cut: Blow = { kind: 'kill', when: 'torn' }
const dark: Blow = { kind: 'powerLoss', when: 'after', pattern: 0 }
const takenOver: Blow = { kind: 'takeOver', when: 'after' }

/** Each is small: it finds its broken engines within a second or two. */
export const hunts = {
  'words, killed': { scenario: 'word-count', batches: 2, blows: [killed, cut], at: /append|create|sink write/ },
  'words, power lost': { scenario: 'word-count', batches: 2, blows: [dark], at: /sync|sink write|append/ },
  'words, taken over': { scenario: 'word-count', batches: 2, blows: [takenOver] },
  'words, late writes': {
    scenario: 'word-count',
    batches: 6,
    seeds: { first: 1, count: 15, faults: { lateWrite: 0.2 } },
  },
  'words, stopped': { scenario: 'word-count', batches: 2, blows: [{ kind: 'stopAtOnce' }], at: /sink write|append/ },
  'words, syncs fail': {
    scenario: 'word-count',
    batches: 6,
    seeds: { first: 1, count: 30, faults: { syncError: 0.05, powerLoss: 0.2 } },
  },
  'appended words, taken over': { scenario: 'at-least-once', batches: 2, blows: [takenOver] },
  'appended words, bits flip': {
    scenario: 'at-least-once',
    batches: 6,
    seeds: { first: 1, count: 10, faults: { bitFlip: 0.2 } },
  },
  'state, killed': { scenario: 'update-state', batches: 2, blows: [killed], at: /append|sink write/ },
  'state, clock set': {
    scenario: 'update-state',
    batches: 6,
    seeds: { first: 1, count: 20, faults: { clockJump: 0.3, kill: 0.2 } },
  },
  'mapped state': { scenario: 'map-state-with-time-outs', batches: 3 },
  'shared state': { scenario: 'shared-state', batches: 2 },
  'a function that fails': { scenario: 'failing-function', batches: 3 },
  'windows over state, killed': { scenario: 'raw-window-over-state', batches: 3, blows: [killed], at: /sink write/ },
  'windows, ticks left out': { scenario: 'catch-up-one', batches: 4 },
  'side data, killed': { scenario: 'side-data', batches: 2, blows: [killed], at: /sink write/ },
  grouped: { scenario: 'grouped', batches: 3, blows: [killed], at: /sink write/ },
  asynchronous: { scenario: 'map-async', batches: 2 },
  'changed program': {
    scenario: 'changed-program',
    batches: 3,
    blows: [{ kind: 'changeProgram', when: 'after' }],
    at: /sink write/,
  },
  'every tick': {
    scenario: 'every-tick',
    batches: 5,
    seeds: { first: 1, count: 10, faults: { pause: 0.2, slowDisk: 0.01, kill: 0.1 } },
  },
  'one output fails': { scenario: 'failed-output-alone', batches: 3 },
  'dead letters, killed': { scenario: 'dead-letters', batches: 2, blows: [killed], at: /sink/ },
  'not awaited, killed': { scenario: 'not-awaited', batches: 2, blows: [killed], at: /append|sink/ },
  'receiver, killed': { scenario: 'reliable-receiver', batches: 2, blows: [killed], at: /append|sync|receiver/ },
  'receiver, power lost': { scenario: 'reliable-receiver', batches: 2, blows: [dark], at: /append|sync|receiver/ },
  'receiver, taken over': { scenario: 'reliable-receiver', batches: 2, blows: [takenOver], at: /append|sync|receiver/ },
  'receiver, taken over often': {
    scenario: 'reliable-receiver',
    batches: 4,
    seeds: { first: 50, count: 8, faults: { takeOver: 0.5, receiverHangs: 0.05, slowDisk: 0.02 } },
  },
  'releasing source, taken over': {
    scenario: 'releasing-source',
    batches: 4,
    seeds: { first: 1, count: 25, faults: { takeOver: 0.5, slowDisk: 0.03, sourceHangs: 0.05 } },
  },
  'resending server': {
    scenario: 'resending-server',
    batches: 4,
    seeds: { first: 1, count: 10, faults: { receiverDrops: 0.1, kill: 0.2 } },
  },
  'plain receiver, killed': { scenario: 'plain-receiver', batches: 3, blows: [killed], at: /append/ },
  'plain receiver, stopped': { scenario: 'plain-receiver-stops', batches: 4 },
  'bounded room': { scenario: 'bounded-room', batches: 4 },
  'tuned state, killed': { scenario: 'update-state', batches: 4, blows: [killed], at: /sink write/, isTuned: true },
  'tuned receiver, killed': {
    scenario: 'reliable-receiver',
    batches: 4,
    seeds: { first: 97, count: 10, faults: { slowDisk: 0.05, kill: 0.4 } },
    isTuned: true,
  },
  'tuned windows over state, killed': {
    scenario: 'raw-window-over-state',
    batches: 4,
    blows: [killed],
    at: /sink write/,
    isTuned: true,
  },
} as const satisfies Readonly<Record<string, Hunt>>

export type HuntName = keyof typeof hunts
