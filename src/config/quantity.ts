/** Durations and sizes as the YAML writes them. */

const MILLISECONDS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const
const DAY_MS = 86_400_000
const BYTES = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 } as const

/** `250ms`, `4s`, `15m`, `12h`: never zero, and below the 24 days that a timer of Node holds (2^31 - 1 ms). */
export const DURATION_PATTERN =
  '^([1-9][0-9]{0,8}ms|[1-9][0-9]{0,5}s|[1-9][0-9]{0,3}m|([1-9][0-9]?|[1-4][0-9]{2})h)$'
/** `400d`: how long something is kept, up to 273 years. */
export const DAYS_PATTERN = '^[1-9][0-9]{0,4}d$'
/** `512B`, `64KiB`, `64MiB`, `2GiB`: never zero, and exact in a double. */
export const SIZE_PATTERN = '^[1-9][0-9]{0,5}(B|KiB|MiB|GiB)$'

/** Milliseconds; undefined for what is no duration. */
export function parseDuration(text: string): number | undefined {
  return new RegExp(DURATION_PATTERN).test(text) ? parseQuantity(text, MILLISECONDS) : undefined
}

/** Bytes; undefined for what is no size. */
export function parseSize(text: string): number | undefined {
  return new RegExp(SIZE_PATTERN).test(text) ? parseQuantity(text, BYTES) : undefined
}

/** Milliseconds; undefined for what is no number of days. */
export function parseDays(text: string): number | undefined {
  return new RegExp(DAYS_PATTERN).test(text) ? Number.parseInt(text, 10) * DAY_MS : undefined
}

function parseQuantity(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const unit = units[text.replace(/^[0-9]+/, '')]
  return unit === undefined ? undefined : Number.parseInt(text, 10) * unit
}
