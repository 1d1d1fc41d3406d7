import type { Clock } from '../authentication/clock.ts'
import type { Lease, Lockout, Refusal } from '../authentication/lockout.ts'
import type { Log } from '../authentication/log.ts'
import { createLockoutKeys, sourcePrefix } from './keys.ts'
import { createMemoryStore } from './memory-store.ts'
import type { Limit } from './policy.ts'
import type { Counter, Ending, LockoutStore, Refused } from './store.ts'
import { createWaitingLine } from './waiting-line.ts'

/** The limit of one account from one source, and of one source whatever the account. */
export interface LockoutSettings extends Limit {
  readonly source: Limit
  /** Bound of the memory store's records, 2 or more; one takes about 250 bytes. */
  readonly maxEntries: number
}

/** How long an attempt waits for a place before it is told to come back (lockout.md, Order of work). */
const WAIT_MS = 250
const MAX_WAITING = 1_000
/** As long as the hash that the keys are made with (RFC 2104 §3). */
const MIN_SECRET_BYTES = 32

/**
 * Makes the lockout of lockout.md's keys "account + source" (by name and by subject) and "source".
 *
 * @param parts.secret of this installation, at least 32 bytes
 * @param parts.store to carry over on a reload; a new memory store by default
 * @throws {RangeError} on a short secret
 */
export function createLockout(parts: {
  readonly settings: LockoutSettings
  readonly secret: Uint8Array
  readonly clock: Clock
  readonly log: Log
  readonly store?: LockoutStore
}): Lockout {
  const { secret, clock, log } = parts
  const { source: sourceLimit, maxEntries, ...accountLimit } = parts.settings
  if (secret.byteLength < MIN_SECRET_BYTES) {
    throw new RangeError(`The lockout's secret must have at least ${MIN_SECRET_BYTES} bytes`)
  }
  const store = parts.store ?? createMemoryStore({ clock, log, maxEntries })
  const keys = createLockoutKeys(secret)
  const line = createWaitingLine(MAX_WAITING)
  let ended = 0

  /**
   * Asks the store for places until it gives an answer other than "no place", or the wait is over.
   * Who is called and finds his key free calls the next one, so a call reaches as many as there are places.
   */
  async function takePlaces<T extends { readonly outcome: string }>(
    ask: () => Promise<T | Refused>,
  ): Promise<T | Refused> {
    const deadlineMs = clock.now() + WAIT_MS
    let calledFor: string | undefined
    let lastTry = false
    for (;;) {
      const endedBefore = ended
      const answer = await ask()
      const crowded = isCrowded(answer) ? answer.key : undefined
      if (calledFor !== undefined && calledFor !== crowded) line.call(calledFor)
      if (crowded === undefined || lastTry) return answer
      const leftMs = deadlineMs - clock.now()
      if (leftMs <= 0) return answer
      // What ended while the store was being asked may have found nobody to call. With somebody in the line it did.
      if (ended !== endedBefore && line.isEmpty(crowded)) continue
      const waited = await line.wait(crowded, leftMs, calledFor === crowded)
      if (waited === 'no_room') return answer
      calledFor = waited === 'called' ? crowded : undefined
      lastTry = waited === 'timed_out'
    }
  }

  function openLease(id: string, prefix: string, name: Counter, source: Counter): Lease {
    const subjects = new Map<string, Counter>()

    function subjectCounter(subject: string): Counter {
      const known = subjects.get(subject)
      if (known !== undefined) return known
      const counter = { key: keys.subject(subject, prefix), limit: accountLimit }
      subjects.set(subject, counter)
      return counter
    }

    async function end(ending: Ending): Promise<{ readonly locked: boolean }> {
      const result = await store.end(id, ending)
      ended++
      line.call(name.key)
      line.call(source.key)
      for (const { key } of subjects.values()) line.call(key)
      return result
    }

    return {
      async claim(subject) {
        const answer = await takePlaces(() => store.extend(id, subjectCounter(subject)))
        return answer.outcome === 'extended' ? { admitted: true } : refusal(answer)
      },
      commit(charge) {
        const failed = charge.subjects.map(subjectCounter)
        if (charge.name) failed.push(name)
        if (charge.source) failed.push(source)
        // The source's own count stays: or an attacker would log in to his own account between guesses.
        const cleared = charge.accepted === undefined ? [] : [name.key, subjectCounter(charge.accepted).key]
        return end({ failed, cleared })
      },
      async release() {
        await end({ failed: [], cleared: [] })
      },
    }
  }

  return {
    async inspect({ name, address }, subject) {
      const prefix = sourcePrefix(address)
      const [ofName, ofSource, ofSubject] = await store.inspect([
        { key: keys.name(name, prefix), limit: accountLimit },
        { key: keys.source(prefix), limit: sourceLimit },
        ...(subject === undefined ? [] : [{ key: keys.subject(subject, prefix), limit: accountLimit }]),
      ])
      if (ofName === undefined || ofSource === undefined) throw new Error('the store left a key out')
      return { name: ofName, source: ofSource, ...(ofSubject && { subject: ofSubject }) }
    },

    async reserve({ name, address }) {
      const prefix = sourcePrefix(address)
      const nameCounter = { key: keys.name(name, prefix), limit: accountLimit }
      const sourceCounter = { key: keys.source(prefix), limit: sourceLimit }
      const answer = await takePlaces(() => store.reserve([nameCounter, sourceCounter]))
      if (answer.outcome !== 'reserved') return refusal(answer)
      return { admitted: true, lease: openLease(answer.lease, prefix, nameCounter, sourceCounter) }
    },
  }
}

function isCrowded(answer: { readonly outcome: string }): answer is Refused & { outcome: 'no_place' } {
  return answer.outcome === 'no_place'
}

function refusal(refused: Refused | { readonly outcome: 'lease_over' }): Refusal {
  return refused.outcome === 'locked'
    ? { admitted: false, reason: 'locked', retryAfterMs: refused.retryAfterMs }
    : { admitted: false, reason: 'busy' }
}
