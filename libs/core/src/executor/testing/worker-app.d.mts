/** Types of `worker-app.mjs`. */
import type { Compare } from '../../rdd/order.js'
import type { PartitionInfo } from '../../rdd/types.js'

type PartitionFunction = (records: readonly number[], info: PartitionInfo) => Iterable<number>

export const calls: { readonly count: number }
export function words(line: string): string[]
export function pairOne(word: string): [string, number]
export function add(a: number, b: number): number
export function addTo(total: { sum: number }, value: number): { sum: number }
export function mergeTotals(a: { sum: number }, b: { sum: number }): { sum: number }
export function double(x: number): number
export function isEven(x: number): boolean
export function lastDigit(x: number): number
export const descending: Compare<number>
export function modulo3(key: unknown): number
export function onThread(x: number): [number, number]
export function later(x: number): Promise<number>
export const reversedPartition: PartitionFunction
export function nothing(): undefined
export function callsHere(records: readonly unknown[]): number[]
export function makeInstance(): object
export function explode(x: number): number
export function throwText(): number
export const exitOnce: PartitionFunction
export function exitAlways(): never
export const uncaughtOnce: PartitionFunction
export const outOfMemoryOnce: PartitionFunction
export const failOnce: PartitionFunction
export const failLate: PartitionFunction
export function dieLater(x: number): number
export function never(): Promise<number>
export const actInTask: PartitionFunction
export function declareShared(context: unknown, rules: unknown): void
export const shared: { readonly seen: { readonly value: number }; readonly names: { readonly value: string[] } }
export function see(x: number): number
export const addThenFail: PartitionFunction
export const addThenExit: PartitionFunction
export function readSeen(x: number): number
export function readRules(x: number): unknown
export function readOther(x: number): unknown
export function sameRules(x: number): [number, boolean, number]
