/** The code blocks of the pages that users read: what test files import. */
export { blockNamed, blocksOf, isCode, ROOT, type Block, type Changes } from './blocks.js'
export { callsIn, type Call } from './calls.js'
export { filesBelow, pages, testFiles } from './pages.js'
export { exportsOf, problemsOfTypes, type Exports } from './compile.js'
export { importBlock, quotedBlock, runBlock, textOfBlock, type Printed, type RunOptions } from './run.js'
export { commandsIn, commandsOfLine, type Command } from './shell.js'
