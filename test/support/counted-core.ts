import type { AttemptEvent } from '../../src/authentication/attempt-event.ts'
import { createAuthenticate } from '../../src/authentication/authenticate.ts'
import type { Backend } from '../../src/authentication/backend.ts'
import { createChain } from '../../src/authentication/chain.ts'
import { type Clock, systemClock } from '../../src/authentication/clock.ts'
import { Secret } from '../../src/authentication/secret.ts'
import { createUsernameNormaliser } from '../../src/authentication/username.ts'
import type { Verdict } from '../../src/authentication/verdict.ts'
import type { LockoutSettings } from '../../src/lockout/limits.ts'
import { createMemoryStore } from '../../src/lockout/memory-store.ts'
import type { LockoutStore } from '../../src/lockout/store.ts'
import { setUpLockoutAt } from './lockout.ts'
import { createLogRecorder, type LogRecorder } from './log-recorder.ts'

/** The core around given backends, without HTTP, and with a lockout that shows what it charges. */
export interface CountedCore {
  /** One attempt, from one address unless another is said. */
  ask(username: string, password: string, address?: string): Promise<Verdict>
  /** Failures counted so far, on any key. */
  charged(): number
  readonly events: readonly AttemptEvent[]
  readonly log: LogRecorder
}

interface CoreOptions {
  /** For each backend and for a whole attempt, in milliseconds. */
  readonly deadlineMs?: number
  readonly maxInFlight?: number
  readonly lockout?: Partial<LockoutSettings>
  readonly clock?: Clock
  readonly log?: LogRecorder
}

export function openCore(
  backends: readonly Backend[],
  {
    deadlineMs = 5_000,
    maxInFlight = 256,
    lockout = {},
    clock = systemClock,
    log = createLogRecorder(),
  }: CoreOptions = {},
): CountedCore {
  const memory = createMemoryStore({ clock, log, bytes: 4 * 1024 ** 2 })
  const events: AttemptEvent[] = []
  let charged = 0
  const store: LockoutStore = {
    ...memory,
    end(lease, ending, note) {
      charged += ending.failed.length
      return memory.end(lease, ending, note)
    },
  }
  const links = backends.map(backend => ({
    backend,
    on: {
      accept: 'stop',
      unknown_user: 'continue',
      wrong_password: 'continue',
      unavailable: 'continue',
    } as const,
    timeoutMs: deadlineMs,
    maxInFlight,
    deny: false,
    usernameFilter: () => true,
  }))
  const authenticate = createAuthenticate({
    chain: createChain(links, deadlineMs, clock),
    lockout: setUpLockoutAt(clock, { store, settings: lockout }).lockout,
    normalise: createUsernameNormaliser(backends.flatMap(({ realm }) => realm ?? [])),
    clock,
    log,
    onAttempt: event => void events.push(event),
  })
  let asked = 0
  return {
    ask(username, password, address = '192.0.2.7') {
      asked += 1
      return authenticate({
        requestId: `r${asked}`,
        caller: { id: 'wiki', requiredGroups: [] },
        username,
        password: new Secret(password),
        address,
      })
    },
    charged: () => charged,
    events,
    log,
  }
}
