/** Accounts whose failures are counted. */
import type { Lockout } from '../../src/authentication/lockout.ts'
import type { Log } from '../../src/authentication/log.ts'
import { createMemoryStore } from '../../src/lockout/memory-store.ts'
import { createFakeClock, type FakeClock } from '../../test/support/fake-clock.ts'
import { setUpLockoutAt } from '../../test/support/lockout.ts'
import { cpuMicros, heldMiB } from './own-cost.ts'
import type { Figure } from './row.ts'

const MIB = 2 ** 20
/** Longer than every window: who fails once in this time is never locked. */
const WINDOW_MS = 16 * 60_000
/** Fewer than the locks that `memory` holds by default. */
const MOST_LOCKED = 1_000
const FAILURES_TO_LOCK = 5

/** Each with a subnet of their own, so that only accounts are counted here. */
function addressOf(index: number): string {
  return `${1 + ((index >> 16) & 127)}.${(index >> 8) & 255}.${index & 255}.1`
}

/**
 * So many accounts of people whom a backend knows, each with one failure; then what further attempts of them cost.
 *
 * @param memory of the lockout, in MiB
 * @throws Error where somebody is refused who should not be, or let in who is locked
 */
export async function countedAccounts(
  size: number,
  memory: number,
  times: number,
): Promise<readonly Figure[]> {
  const clock = createFakeClock()
  const before = await heldMiB()
  const { lockout, store } = openLockout(clock, memory)
  for (let index = 0; index < size; index++) await fail(lockout, index)
  const held = (await heldMiB()) - before
  const { records = {}, bytes = 0 } = store.report()
  const stepMs = WINDOW_MS / size
  const failing = await cpuMicros(times, index => {
    clock.advance(stepMs)
    return fail(lockout, index % size)
  })
  const accepted = await cpuMicros(times, index => {
    clock.advance(stepMs)
    return accept(lockout, index % size)
  })
  clock.advance(WINDOW_MS)
  const toLock = Math.min(size, MOST_LOCKED)
  for (let index = 0; index < toLock * FAILURES_TO_LOCK; index++) await fail(lockout, index % toLock)
  const locked = await cpuMicros(times, async index => {
    const { admitted } = await lockout.reserve(asker(index % toLock))
    if (admitted) throw new Error(`account ${index % toLock} of ${size} is not locked`)
  })
  return [
    { name: 'a failing attempt', value: failing, unit: 'µs', flatAbove: 50 },
    { name: 'a right one', value: accepted, unit: 'µs', flatAbove: 50 },
    { name: 'a locked one', value: locked, unit: 'µs', flatAbove: 20 },
    { name: 'records of accounts after one failure each', value: records.accounts ?? 0, unit: '' },
    { name: 'held', value: held, unit: 'MiB' },
    { name: 'held by its own count', value: bytes / MIB, unit: 'MiB' },
    { name: 'locked until strangers are refused', value: await locksUntilFull(size, memory), unit: '' },
  ]
}

function openLockout(clock: FakeClock, memory: number) {
  const log: Log = { debug() {}, info() {}, warn() {}, error() {}, fatal() {}, child: () => log }
  const store = createMemoryStore({ clock, log, bytes: memory * MIB })
  return { lockout: setUpLockoutAt(clock, { store }).lockout, store }
}

/** How many of the accounts can be locked at once; beyond, strangers are told to come back. */
async function locksUntilFull(size: number, memory: number): Promise<number | string> {
  const { lockout } = openLockout(createFakeClock(), memory)
  for (let index = 0; index < size; index++) {
    for (let failure = 0; failure < FAILURES_TO_LOCK; failure++) {
      const refused = await tryToFail(lockout, index)
      if (refused === 'busy') return index
      if (refused !== undefined) throw new Error(`account ${index} is refused as ${refused}`)
    }
  }
  return 'all fit'
}

function asker(index: number) {
  return { name: `user${index}`, address: addressOf(index), caller: 'wiki' }
}

async function fail(lockout: Lockout, index: number): Promise<void> {
  const refused = await tryToFail(lockout, index)
  if (refused !== undefined) throw new Error(`account ${index} is refused as ${refused}`)
}

/** A wrong password of somebody whom a backend knows, from the start to the end. */
async function tryToFail(lockout: Lockout, index: number): Promise<string | undefined> {
  const reservation = await lockout.reserve(asker(index))
  if (!reservation.admitted) return reservation.reason
  const subject = `corp:${index}`
  const claimed = await reservation.lease.claim(subject)
  if (!claimed.admitted) {
    await reservation.lease.release()
    return claimed.reason
  }
  await reservation.lease.commit({ name: true, subjects: [subject], source: true })
  return undefined
}

/** A right password, from the start to the end. */
export async function accept(lockout: Lockout, index: number): Promise<void> {
  const reservation = await lockout.reserve(asker(index))
  if (!reservation.admitted) throw new Error(`account ${index} is refused as ${reservation.reason}`)
  const subject = `corp:${index}`
  const claimed = await reservation.lease.claim(subject)
  if (!claimed.admitted) throw new Error(`account ${index} is refused as ${claimed.reason}`)
  await reservation.lease.commit({ name: false, subjects: [], source: false, accepted: subject })
}
