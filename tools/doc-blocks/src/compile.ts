/** Compiles blocks as somebody does who has the packages installed: strictly, and with the types that are built. */
import { join } from 'node:path'
import ts from 'typescript'
import { ROOT, type Block } from './blocks.js'

/** What is wrong with the types of these blocks, each of them being a module beside its page. */
export function problemsOfTypes(blocks: readonly Block[]): string[] {
  const config = ts.readConfigFile(join(ROOT, 'tsconfig.base.json'), (path) => ts.sys.readFile(path)).config as {
    readonly compilerOptions: object
  }
  const { options } = ts.convertCompilerOptionsFromJson(
    { ...config.compilerOptions, composite: false, noEmit: true, allowJs: true, checkJs: true },
    ROOT,
  )
  const byPath = new Map(blocks.map((block) => [pathOf(block), block]))
  const host = ts.createCompilerHost(options)
  const { readFile, fileExists } = host
  host.readFile = (path) => byPath.get(path)?.source ?? readFile(path)
  host.fileExists = (path) => byPath.has(path) || fileExists(path)
  const program = ts.createProgram([...byPath.keys()], options, host)
  return [...byPath].flatMap(([path, { page, line }]) => {
    const file = program.getSourceFile(path)
    return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map(
      ({ messageText, start = 0 }) => {
        const inBlock = file?.getLineAndCharacterOfPosition(start).line ?? 0
        return `${page}:${String(line + 1 + inBlock)}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`
      },
    )
  })
}

const pathOf = ({ page, line, language }: Block): string => join(ROOT, `${page}.${String(line)}.${language}`)

const TYPES_ONLY = new Set([
  ts.SyntaxKind.InterfaceDeclaration,
  ts.SyntaxKind.TypeAliasDeclaration,
  ts.SyntaxKind.ImportDeclaration,
])

export interface Exports {
  /** Nothing in it runs: to compile it is all that can be done with it. */
  readonly isTypesOnly: boolean
  /** What it exports that is a value. */
  readonly values: readonly string[]
}

/** What there is to run in a block. */
export function exportsOf({ source }: Block): Exports {
  const { statements } = ts.createSourceFile('block.ts', source, ts.ScriptTarget.ES2023, true)
  const values = statements.flatMap((each) => {
    if (!ts.canHaveModifiers(each) || ts.getModifiers(each)?.[0]?.kind !== ts.SyntaxKind.ExportKeyword) return []
    if (ts.isFunctionDeclaration(each) || ts.isClassDeclaration(each)) return [each.name?.text ?? 'default']
    return ts.isVariableStatement(each) ? each.declarationList.declarations.map(({ name }) => name.getText()) : []
  })
  return { isTypesOnly: statements.every(({ kind }) => TYPES_ONLY.has(kind)), values }
}
