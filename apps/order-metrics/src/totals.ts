/** The result of a run: `totals.json`. */
import type { Pair } from '@sluice/core'
import { addFigures, NO_FIGURES, type Standing, type Subject, type SubjectKind } from './figures.js'
import type { Thousandths } from './orders.js'

interface Tally {
  readonly orders: number
  readonly revenueThousandths: Thousandths
}

export interface Totals {
  /** All lines: accepted and rejected. */
  readonly lines: number
  readonly accepted: number
  readonly rejected: number
  readonly orders: number
  readonly cancellations: number
  readonly revenueThousandths: Thousandths
  /** Customers with at least one accepted line. */
  readonly customers: number
  readonly byCountry: ReadonlyMap<string, Tally>
  readonly byGroup: ReadonlyMap<string, Tally>
}

export type Standings = readonly Pair<Subject, Standing>[]

export function totalsOf(standings: Standings): Totals {
  const sumOf = (kind: SubjectKind) =>
    figuresBy(standings, kind)
      .map(([, figures]) => figures)
      .reduce(addFigures, NO_FIGURES)
  const all = sumOf('all')
  const rejected = sumOf('rejected').lines
  return {
    lines: all.lines + rejected,
    accepted: all.lines,
    rejected,
    orders: all.orders,
    cancellations: all.cancellations,
    revenueThousandths: all.revenue,
    customers: figuresBy(standings, 'customer').length,
    byCountry: talliesBy(standings, 'country'),
    byGroup: talliesBy(standings, 'group'),
  }
}

/** The totals as JSON text: the same totals give the same text, names in the order of their UTF-16 codes. */
export function formatTotals(totals: Totals): string {
  const { byCountry, byGroup, ...figures } = totals
  const members = [
    ...Object.entries(figures).map(([name, value]) => `${JSON.stringify(name)}: ${String(value)}`),
    `"byCountry": ${formatTallies(byCountry)}`,
    `"byGroup": ${formatTallies(byGroup)}`,
  ]
  return `{\n  ${members.join(',\n  ')}\n}\n`
}

// Written by hand: an object would put names that look like numbers, such as product groups, before all others.
function formatTallies(tallies: ReadonlyMap<string, Tally>): string {
  if (tallies.size === 0) return '{}'
  const members = [...tallies]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, tally]) => {
      const { orders, revenueThousandths } = tally
      return `${JSON.stringify(name)}: { "orders": ${String(orders)}, "revenueThousandths": ${String(revenueThousandths)} }`
    })
  return `{\n    ${members.join(',\n    ')}\n  }`
}

function talliesBy(standings: Standings, kind: SubjectKind): ReadonlyMap<string, Tally> {
  return new Map(
    figuresBy(standings, kind).map(([name, { orders, revenue }]) => [name, { orders, revenueThousandths: revenue }]),
  )
}

function figuresBy(standings: Standings, kind: SubjectKind): [name: string, total: Standing['total']][] {
  return standings.filter(([[by]]) => by === kind).map(([[, name], { total }]) => [name, total])
}
