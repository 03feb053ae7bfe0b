/** Ticks: when batches are planned. Aligned to multiples of the interval, none lost (E12). */
import type { BatchTime } from './duration.js'

/** The first multiple of `intervalMs` after `nowMs`: the batch time of the first tick. The zero time lies one interval before. */
export function firstTick(nowMs: number, intervalMs: number): BatchTime {
  return (Math.floor(nowMs / intervalMs) + 1) * intervalMs
}

/** The last tick at or before `nowMs`, counted in intervals from `zeroTime`. */
export function lastTick(nowMs: number, zeroTime: BatchTime, intervalMs: number): BatchTime {
  return zeroTime + Math.floor((nowMs - zeroTime) / intervalMs) * intervalMs
}

/** Whether a stream with this slide has a batch at `time`: a positive multiple of the slide after the zero time. */
export function isValidTime(time: BatchTime, zeroTime: BatchTime, slideMs: number): boolean {
  return time > zeroTime && (time - zeroTime) % slideMs === 0
}
