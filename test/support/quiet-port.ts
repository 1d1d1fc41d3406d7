import { randomInt } from 'node:crypto'

/**
 * A port that is probably free, and stays so while its server is away: it lies below the range from which the
 * system serves port 0 and outgoing connections. Whoever finds it taken draws again.
 */
export function quietPort(): number {
  return randomInt(10_000, 30_000)
}
