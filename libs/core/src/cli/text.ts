/** How times, sizes and damage are written. */
import type { CheckpointLook } from '../checkpoint/look.js'
import type { BatchTime } from '../time/duration.js'

const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** The time as `--batch` takes it, and for people. */
export function timeText(time: BatchTime | null): string {
  return time === null ? 'none' : `${String(time)} (${new Date(time).toISOString()})`
}

export function bytesText(bytes: number): string {
  const unit = bytes < 1_024 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(bytes) / 10))
  return `${unit === 0 ? String(bytes) : (bytes / 1_024 ** unit).toFixed(1)} ${UNITS[unit] ?? ''}`
}

export function listed(names: readonly string[]): string {
  return names.length === 0 ? 'none' : names.join(', ')
}

export function damageLines(damage: CheckpointLook['damage']): string[] {
  return damage.map(({ file, offset, reason }) => `DAMAGED ${file} at byte ${String(offset)}: ${reason}`)
}
