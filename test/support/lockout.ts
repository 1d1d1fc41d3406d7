import type { Clock } from '../../src/authentication/clock.ts'
import type { LockoutSettings } from '../../src/lockout/limits.ts'
import { createLockout } from '../../src/lockout/lockout.ts'
import { createMemoryStore } from '../../src/lockout/memory-store.ts'
import type { LockoutStore } from '../../src/lockout/store.ts'
import { createFakeClock } from './fake-clock.ts'
import { createLogRecorder } from './log-recorder.ts'

/** The defaults of the configuration. */
export const LOCKOUT_SETTINGS: LockoutSettings = {
  mode: 'enforce',
  profile: 'full',
  maxAttempts: 5,
  windowMs: 900_000,
  durationMs: 300_000,
  unfamiliar: { maxAttempts: 10, windowMs: 900_000, durationsMs: [300_000, 900_000, 3_600_000] },
  familiar: { maxAttempts: 20, windowMs: 900_000, durationMs: 300_000 },
  source: { maxAttempts: 50, accounts: 20, windowMs: 600_000, durationMs: 600_000 },
  subnet: { maxAttempts: 200, windowMs: 600_000, durationMs: 600_000 },
  allow: [],
  block: [],
}

interface Parts {
  readonly settings?: Partial<LockoutSettings>
  readonly store?: LockoutStore
  /** Of a new memory store. */
  readonly bytes?: number
}

/** A lockout over a memory store unless another is given, in time that a test moves. */
export function setUpLockout(parts: Parts & { readonly clock?: ReturnType<typeof createFakeClock> } = {}) {
  const { clock = createFakeClock(), ...rest } = parts
  return { ...setUpLockoutAt(clock, rest), clock }
}

/** The same in the time of this clock, without jitter. */
export function setUpLockoutAt(clock: Clock, { settings, bytes = 16 * 1024 ** 2, ...parts }: Parts = {}) {
  const log = createLogRecorder()
  const store = parts.store ?? createMemoryStore({ clock, log, bytes, random: () => 0.5 })
  const secret = new Uint8Array(32).fill(1)
  const lockout = createLockout({
    settings: { ...LOCKOUT_SETTINGS, ...settings },
    secret,
    clock,
    log,
    store,
  })
  return { lockout, log, store }
}
