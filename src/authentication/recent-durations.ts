/** The newest durations of one kind, and their 95th percentile (nearest rank). */
export interface RecentDurations {
  add(durationMs: number): void
  /** In milliseconds; 0 while there is none. */
  p95(): number
}

const REMEMBERED = 128

export function createRecentDurations(): RecentDurations {
  const newest = new Float64Array(REMEMBERED)
  let added = 0
  /** Undefined when something was added since it was worked out. */
  let p95: number | undefined = 0
  return {
    add(durationMs) {
      newest[added++ % REMEMBERED] = durationMs
      p95 = undefined
    },
    p95() {
      if (p95 !== undefined) return p95
      const sorted = newest.slice(0, Math.min(added, REMEMBERED)).sort()
      p95 = sorted[Math.ceil(sorted.length * 0.95) - 1] ?? 0
      return p95
    },
  }
}
