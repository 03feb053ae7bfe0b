/** Results as a table for people. */
import type { Row } from './row.js'

const HEAD = ['benchmark', 'ratio', 'low', 'high', 'wall', 'aim', '', 'ours', 'reference', 'unit', 'rounds'] as const
/** Columns of text; the others are numbers, and stand to the right. */
const TEXT: ReadonlySet<number> = new Set([0, 6, 9])

export const LEGEND = [
  'ratio: cost of the reference by ours in CPU time of the process (all threads), since the machine is shared;',
  'the median of pairs run side by side. low, high: first and third quartile. wall: the median in wall-clock time.',
].join('\n')

export function tableOf(rows: readonly Row[]): string {
  const cells = [HEAD, ...rows.map(cellsOf)]
  const widths = HEAD.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)))
  return cells.map((row) => lineOf(row, widths)).join('\n')
}

function lineOf(cells: readonly string[], widths: readonly number[]): string {
  const padded = cells.map((cell, column) => {
    const width = widths[column] ?? 0
    return TEXT.has(column) ? cell.padEnd(width) : cell.padStart(width)
  })
  return padded.join('  ').trimEnd()
}

function cellsOf(row: Row): string[] {
  return [
    row.name,
    row.ratio.toFixed(2),
    row.low.toFixed(2),
    row.high.toFixed(2),
    row.wallRatio?.toFixed(2) ?? '–',
    row.aim.toFixed(2),
    row.met ? 'met' : 'missed',
    figure(row.ours),
    figure(row.reference),
    row.unit,
    String(row.rounds),
  ]
}

function figure(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3)
}
