/** What says whether two sets of durations can be told apart. */

/** @returns NaN for no numbers */
export function median(numbers: readonly number[]): number {
  const sorted = Float64Array.from(numbers).sort()
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

/**
 * The two-sided rank test of Mann and Whitney, by its normal approximation with the corrections for ties and continuity: good
 * from some twenty numbers on each side.
 *
 * @returns how likely ranks as different as these are if both sides are of one distribution, from 0 to 1
 */
export function mannWhitney(one: readonly number[], other: readonly number[]): number {
  const all = [
    ...one.map(value => ({ value, first: true })),
    ...other.map(value => ({ value, first: false })),
  ]
  all.sort((a, b) => a.value - b.value)
  let ranksOfOne = 0
  let ties = 0
  for (let from = 0; from < all.length; ) {
    let to = from
    while (to < all.length && all[to]?.value === all[from]?.value) to++
    const tied = to - from
    ties += tied ** 3 - tied
    // Ranks count from 1; whoever is tied shares the middle one.
    const rank = (from + 1 + to) / 2
    for (let i = from; i < to; i++) if (all[i]?.first) ranksOfOne += rank
    from = to
  }
  const [n, m] = [one.length, other.length]
  const u = ranksOfOne - (n * (n + 1)) / 2
  const variance = ((n * m) / 12) * (n + m + 1 - ties / ((n + m) * (n + m - 1)))
  if (!(variance > 0)) return 1
  const distance = Math.max(Math.abs(u - (n * m) / 2) - 0.5, 0)
  return Math.min(2 * upperTail(distance / Math.sqrt(variance)), 1)
}

/**
 * Holm's correction for having asked many times: of so many tests that all find nothing, not one in `1 / alpha` campaigns rejects
 * anything.
 *
 * @returns for each p whether it rejects
 */
export function holm(ps: readonly number[], alpha: number): boolean[] {
  const order = ps.map((_, index) => index).sort((a, b) => (ps[a] ?? 1) - (ps[b] ?? 1))
  const rejected = ps.map(() => false)
  for (const [rank, index] of order.entries()) {
    if ((ps[index] ?? 1) > alpha / (ps.length - rank)) break
    rejected[index] = true
  }
  return rejected
}

/** Of the standard normal distribution, for z from 0 on (Abramowitz and Stegun 7.1.26; off by less than 1e-7). */
function upperTail(z: number): number {
  const x = z / Math.SQRT2
  const t = 1 / (1 + 0.3275911 * x)
  const polynomial =
    t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
  return (polynomial * Math.exp(-x * x)) / 2
}
