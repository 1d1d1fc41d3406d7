import fc from 'fast-check'

/**
 * How long the property tests look. `npm test` runs each as often as it says; `npm run test:fuzz` so many times more, from a
 * seed that it prints (scripts/test-fuzz.ts).
 */
const TIMES = Number(process.env.GATEHOUSE_FUZZ_TIMES ?? 1)
const SEED = process.env.GATEHOUSE_FUZZ_SEED

/** What fast-check does where a property says nothing. */
const USUAL_RUNS = 100

if (!(TIMES > 0)) throw new Error('GATEHOUSE_FUZZ_TIMES must be a number above 0')
fc.configureGlobal({
  numRuns: runs(USUAL_RUNS),
  ...(SEED !== undefined && { seed: Number(SEED) }),
})

/**
 * So many runs of a property by default, and more in the long form. To import this file is enough where a property does not
 * say how many.
 */
export function runs(byDefault: number): number {
  return Math.max(1, Math.round(byDefault * TIMES))
}
