/** Finds where test files run blocks: the calls of what run.ts exports. */
import { dirname, join } from 'node:path/posix'
import ts from 'typescript'

const FUNCTIONS = ['importBlock', 'quotedBlock', 'runBlock', 'textOfBlock'] as const

export interface Call {
  readonly file: string
  readonly line: number
  readonly function: (typeof FUNCTIONS)[number]
  readonly page: string
  readonly name: string
  /** Of `quotedBlock`: the file that has the block. */
  readonly module: string | undefined
}

interface Calls {
  readonly calls: readonly Call[]
  /** What keeps a call from standing for a run. */
  readonly problems: readonly string[]
  /** Names that the file uses as values, also in what it appends to a program. */
  readonly used: ReadonlySet<string>
}

/** The calls in a test file of the repository, whose path is `file`. */
export function callsIn(file: string, text: string): Calls {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2023, true)
  const [calls, problems, used]: [Call[], string[], Set<string>] = [[], [], new Set()]
  const visit = (node: ts.Node): void => {
    if (ts.isTypeNode(node) || ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) return
    if (ts.isIdentifier(node)) used.add(node.text)
    if (ts.isPropertyAssignment(node) && node.name.getText() === 'last')
      for (const name of node.initializer.getText().match(/[\w$]+/g) ?? []) used.add(name)
    if (ts.isCallExpression(node)) {
      const found = callOf(node, source)
      if (typeof found === 'string') problems.push(found)
      else if (found !== undefined) calls.push(found)
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  const isReachable = ({ module }: Call): boolean => module === undefined || runs(file, text, module)
  return {
    calls,
    problems: [
      ...problems,
      ...calls
        .filter((call) => !isReachable(call))
        .map(({ line, module = '' }) => `${at(file, line)} does not run ${module}`),
    ],
    used,
  }
}

const at = (file: string, line: number): string => `${file}:${String(line)}`

function callOf(node: ts.CallExpression, source: ts.SourceFile): Call | string | undefined {
  const name = FUNCTIONS.find((each) => each === node.expression.getText(source))
  if (name === undefined) return undefined
  const line = source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1
  const place = at(source.fileName, line)
  const [page, block, module] = node.arguments.map((each) => (ts.isStringLiteralLike(each) ? each.text : undefined))
  if (page === undefined || block === undefined) return `${place}: page and name must be literals`
  if (name === 'quotedBlock' && module === undefined) return `${place}: the module must be a literal`
  if (isSkipped(node, source)) return `${place} is in a test that is skipped`
  return {
    file: source.fileName,
    line,
    function: name,
    page,
    name: block,
    module: name === 'quotedBlock' ? module : undefined,
  }
}

/** Whether one of the calls around it is `test.skip(…)`, `describe.todo(…)` and the like. */
function isSkipped(node: ts.Node, source: ts.SourceFile): boolean {
  for (let each: ts.Node = node; !ts.isSourceFile(each); each = each.parent)
    if (ts.isCallExpression(each) && /\.(skip|skipIf|runIf|todo)\b/.test(each.expression.getText(source))) return true
  return false
}

/** Whether a test file is `module`, imports it, or starts what is built of it. */
function runs(file: string, text: string, module: string): boolean {
  if (module === file) return true
  const imported = [...text.matchAll(/ from '(\.[^']+)\.js'/g)].map(
    ([, path = '']) => `${join(dirname(file), path)}.ts`,
  )
  if (imported.includes(module)) return true
  const built = [...text.matchAll(/new URL\('(\.[^']+)\.js'/g)].map(
    ([, path = '']) => `${join(dirname(file), path)}.ts`,
  )
  return built.includes(module.replace('/src/', '/dist/'))
}
