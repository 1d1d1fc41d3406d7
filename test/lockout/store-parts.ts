import { createHash } from 'node:crypto'
import type { Test } from 'tap'
import type { LockNote } from '../../src/authentication/lockout.ts'
import type { Limit } from '../../src/lockout/policy.ts'
import {
  type AccountCounter,
  type Counter,
  type Ending,
  type LockoutStore,
  NOTHING_TO_END,
  type Place,
} from '../../src/lockout/store.ts'

/** What the tests of every store are written with. */

export interface StoreUnderTest {
  readonly store: LockoutStore
  /** The store's time moves on. */
  advance(durationMs: number): void | Promise<void>
}

export type Open = (t: Test) => Promise<StoreUnderTest>

/** Half seconds, while tests move time by whole ones: a clock that also runs by itself changes nothing. */
export const LIMIT = {
  maxAttempts: 3,
  windowMs: 20_500,
  lockMs: [5_500],
  afterLock: 'afresh',
} as const satisfies Limit

export const NOBODY: LockNote = { address: '192.0.2.1', caller: 'mail' }
export const NOTHING = NOTHING_TO_END

/** A key as keys.ts makes them: 43 characters, uniform. */
export function key(label: string): string {
  return createHash('sha256').update(label).digest('base64url')
}

/** A pair of somebody, unless told otherwise. */
export function counter(label: string, limit: Limit = LIMIT, more: Partial<Counter> = {}): Counter {
  return { key: key(label), kind: 'pair', limit, account: '', ...more }
}

/** The counts of an account, as seen from one source. */
export function account(
  name: string,
  source: string,
  limit: Limit = LIMIT,
  more: Partial<Counter> = {},
): AccountCounter {
  const owner = key(name)
  return {
    profile: owner,
    source: key(source),
    familiar: counter(`familiar ${name}`, limit, { kind: 'familiar', owner, ...more }),
    unfamiliar: counter(`unfamiliar ${name}`, limit, { kind: 'unfamiliar', owner, ...more }),
  }
}

export function endingOf(parts: Partial<Ending>): Ending {
  return { ...NOTHING_TO_END, ...parts }
}

/** A right password, after which the source is familiar to each of the profiles. */
export function familiarFrom(source: string, ...profiles: string[]): Ending {
  return endingOf({ familiar: { source: key(source), profiles: profiles.map(key) } })
}

export function reserve(store: LockoutStore, ...places: Place[]) {
  return store.reserve(places, NOBODY)
}

/** Takes places that must be free: the lease. */
export async function place(store: LockoutStore, ...places: Place[]): Promise<string> {
  const answer = await reserve(store, ...places)
  if (answer.outcome !== 'reserved') throw new Error(answer.outcome)
  return answer.lease
}

/** One whole wrong guess that must be let in. Did it lock? */
export async function guess(store: LockoutStore, ...places: Place[]): Promise<boolean> {
  const lease = await place(store, ...places)
  return (await store.end(lease, endingOf({ failed: places }), NOBODY)).locked
}

/** One right password. */
export async function login(store: LockoutStore, who: AccountCounter): Promise<void> {
  const familiar = { source: who.source, profiles: [who.profile] }
  await store.end(await place(store, who), endingOf({ familiar }), NOBODY)
}

/** Refused for so long; a clock that runs by itself may have used up a part of it. */
export function retryAfter(
  t: Test,
  answer: { readonly outcome: string; readonly retryAfterMs?: number },
  expectedMs: number,
): void {
  t.equal(answer.outcome, 'locked')
  const actualMs = answer.retryAfterMs ?? 0
  t.ok(actualMs > expectedMs - 400 && actualMs <= expectedMs, `${actualMs} of ${expectedMs} ms`)
}
