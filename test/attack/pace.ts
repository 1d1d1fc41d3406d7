/** How an attack moves on, and how many of those who may log in could. */
import type { Verdict } from '../../src/authentication/verdict.ts'
import type { FakeClock } from '../support/fake-clock.ts'

/**
 * Lets time pass in steps. At each, the first being now, `due` happens to its end before time goes on.
 *
 * @param due is told how many steps there were before
 */
export async function passTime(
  clock: FakeClock,
  { forMs, stepMs }: { readonly forMs: number; readonly stepMs: number },
  due: (step: number) => Promise<unknown>,
): Promise<void> {
  const steps = Math.floor(forMs / stepMs)
  for (let step = 0; step < steps; step++) {
    await due(step)
    clock.advance(stepMs)
  }
}

/** Right passwords, and what was said to them. */
export interface Tally {
  count(verdict: Promise<Verdict['verdict']>): Promise<void>
  readonly refused: number
  readonly of: number
  /** What the refused ones were told, for a test that fails. */
  readonly told: ReadonlyMap<Verdict['verdict'], number>
}

export function openTally(): Tally {
  const told = new Map<Verdict['verdict'], number>()
  let accepted = 0
  let refused = 0
  return {
    async count(answer) {
      const verdict = await answer
      if (verdict === 'accepted') {
        accepted++
        return
      }
      refused++
      told.set(verdict, (told.get(verdict) ?? 0) + 1)
    },
    get refused() {
      return refused
    },
    get of() {
      return accepted + refused
    },
    told,
  }
}

/** For a row. */
export function loginsOf({ refused, of }: Tally, mayRefuse: number | 'no promise') {
  return { refused, of, mayRefuse }
}
