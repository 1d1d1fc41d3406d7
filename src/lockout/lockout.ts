import type { Clock } from '../authentication/clock.ts'
import type { Asker, Charge, Lease, LockNote, Lockout, Refusal, Standing } from '../authentication/lockout.ts'
import type { Log } from '../authentication/log.ts'
import { UnavailableError } from '../authentication/outcome.ts'
import { createDesk } from './desk.ts'
import { createGuessMemory } from './guess-memory.ts'
import { createLockoutKeys } from './keys.ts'
import type { LockoutSettings } from './limits.ts'
import { type AccountPlaces, createPlaces, keysOf, type SourcePlaces } from './places.ts'
import { type Ending, type LockoutStore, NOTHING_TO_END, type Place, type Refused } from './store.ts'
import { createWaitingLine } from './waiting-line.ts'

/** How long an attempt waits for a place before it is told to come back (lockout.md, Order of work). */
const WAIT_MS = 250
const MAX_WAITING = 1_000
/** As long as the hash that the keys are made with (RFC 2104 §3). */
const MIN_SECRET_BYTES = 32
/** What somebody behind the block list is told to wait. */
const BLOCKED_MS = 86_400_000

/**
 * Makes the lockout over all keys of lockout.md: an account by name and by subject, from one source, from familiar and from
 * unfamiliar ones; the source and its subnet; and an account at a directory that locks by itself.
 *
 * @param parts.secret of this installation, at least 32 bytes; replicas with one store share it
 * @param parts.store carried over on a reload
 * @throws {RangeError} on a short secret
 */
export function createLockout(parts: {
  readonly settings: LockoutSettings
  readonly secret: Uint8Array
  readonly clock: Clock
  readonly log: Log
  readonly store: LockoutStore
  /** Carried over on a reload, too. */
  readonly guesses?: ReturnType<typeof createGuessMemory>
}): Lockout {
  const { settings, secret, clock, log, store, guesses = createGuessMemory() } = parts
  if (secret.byteLength < MIN_SECRET_BYTES) {
    throw new RangeError(`The lockout's secret must have at least ${MIN_SECRET_BYTES} bytes`)
  }
  const keys = createLockoutKeys(secret)
  const placesAt = createPlaces(settings, keys)
  const line = createWaitingLine(MAX_WAITING)
  let ended = 0

  /** As `takePlaces`; a store that is out of reach refuses: nothing is verified that cannot be counted. */
  async function take<T extends { readonly outcome: string }>(
    ask: () => Promise<T | Refused>,
  ): Promise<T | Refused | OutOfReach> {
    const [endedBefore, deadlineMs] = [ended, clock.now() + WAIT_MS]
    try {
      const answer = await ask()
      return isCrowded(answer) ? await takePlaces(ask, deadlineMs, { answer, endedBefore }) : answer
    } catch (error) {
      if (error instanceof UnavailableError) return OUT_OF_REACH
      throw error
    }
  }

  /**
   * Asks the store for places until it gives an answer other than "no place", or the wait is over.
   * Who is called and finds his key free calls the next one, so a call reaches as many as there are places.
   *
   * @param first the answer when it was asked for the first time, and how many attempts had ended before
   */
  async function takePlaces<T extends { readonly outcome: string }>(
    ask: () => Promise<T | Refused>,
    deadlineMs: number,
    first: { readonly answer: T | Refused; readonly endedBefore: number },
  ): Promise<T | Refused> {
    let { answer, endedBefore } = first
    let calledFor: string | undefined
    let lastTry = false
    for (;;) {
      const crowded = isCrowded(answer) ? answer.key : undefined
      if (calledFor !== undefined && calledFor !== crowded) line.call(calledFor)
      if (crowded === undefined || lastTry) return answer
      const leftMs = deadlineMs - clock.now()
      if (leftMs <= 0) return answer
      // What ended while the store was being asked may have found nobody to call. With somebody in the line it did.
      if (ended === endedBefore || !line.isEmpty(crowded)) {
        const waited = await line.wait(crowded, leftMs, calledFor === crowded)
        if (waited === 'no_room') return answer
        calledFor = waited === 'called' ? crowded : undefined
        lastTry = waited === 'timed_out'
      }
      endedBefore = ended
      answer = await ask()
    }
  }

  /** @param taken the places of the name and of the source, which the lease holds */
  function openLease(
    id: string,
    asker: Asker,
    source: SourcePlaces,
    taken: {
      readonly name: AccountPlaces
      readonly ofSource: readonly Place[]
      readonly all: readonly Place[]
    },
  ): Lease {
    const { name, ofSource } = taken
    const claimed: string[] = []
    let held = taken.all
    /** Of each subject whose secret goes to a directory that locks by itself. */
    let atDirectory: Map<string, readonly Place[]> | undefined

    const noteOn = (subject: string | undefined): LockNote => {
      const { name, address, caller } = asker
      return subject === undefined ? { name, address, caller } : { name, address, caller, subject }
    }

    async function end(ending: Ending, subject?: string): Promise<{ readonly locked: boolean }> {
      try {
        return await store.end(id, ending, noteOn(subject))
      } catch (error) {
        if (!(error instanceof UnavailableError)) throw error
        // The store counts it by itself when the lease is over.
        log.error({ reason: error.message }, 'the end of an attempt could not be counted')
        return { locked: false }
      } finally {
        ended++
        if (!line.isDeserted()) for (const key of new Set(held.flatMap(keysOf))) line.call(key)
      }
    }

    function failedBy({ name: byName, subjects, source: bySource }: Charge, isResolved: boolean) {
      if (!byName && !bySource && subjects.length === 0) return NOTHING_TO_END.failed
      const { passwordTag } = asker
      const isNew = (profile: string) =>
        passwordTag === undefined || !guesses.repeats(profile, passwordTag(), isResolved)
      const wrong = subjects.map(subject => ({ subject, places: source.account({ subject }) }))
      return [
        ...wrong.flatMap(({ places }) => (isNew(places.profile) ? places.counts : [])),
        ...(byName && isNew(name.profile) ? name.counts : []),
        // What went out to the directory counts there, again or not.
        ...subjects.flatMap(subject => atDirectory?.get(subject) ?? []),
        ...(bySource ? ofSource : []),
      ]
    }

    function endingOf(charge: Charge): Ending {
      const { subjects, accepted } = charge
      const known = [...claimed]
      for (const subject of accepted === undefined ? subjects : [...subjects, accepted]) {
        if (!known.includes(subject)) known.push(subject)
      }
      const failed = failedBy(charge, known.length > 0)
      const resolved = {
        name: name.profile,
        subjects: known.map(subject => source.account({ subject }).profile),
      }
      if (accepted === undefined) return { failed, cleared: [], passed: [], resolved }
      source.remember(asker.name)
      const theirs = source.account({ subject: accepted })
      const atTheirs = atDirectory?.get(accepted)?.flatMap(keysOf) ?? []
      return {
        failed,
        // The source's own count stays: or an attacker would log in to his own account between guesses.
        cleared: [...name.cleared, ...theirs.cleared, ...atTheirs],
        passed: [...name.passed, ...theirs.passed, ...ofSource],
        familiar: { source: source.key, profiles: [name.profile, theirs.profile] },
        resolved,
      }
    }

    return {
      async claim(subject, ceiling) {
        const theirs = source.account({ subject }).counts
        const atTheirs = ceiling && source.directory(subject, ceiling)
        const places = atTheirs ? [...theirs, ...atTheirs] : theirs
        held = [...held, ...places]
        const answer = await take(() => store.extend(id, places, noteOn(subject)))
        if (answer.outcome !== 'extended') return refusal(answer)
        if (!claimed.includes(subject)) claimed.push(subject)
        if (atTheirs) {
          atDirectory ??= new Map()
          atDirectory.set(subject, atTheirs)
        }
        return ADMITTED
      },
      commit: charge => end(endingOf(charge), charge.accepted ?? charge.subjects[0]),
      async release() {
        await end({ ...NOTHING_TO_END, resolved: { name: name.profile, subjects: [] } })
      },
    }
  }

  function blockedStanding(): Standing {
    const watched = settings.mode !== 'enforce'
    const nobody = { kind: 'source', failures: 0, limit: 0, inFlight: 0, lockedForMs: BLOCKED_MS } as const
    return { ...nobody, ...(watched && { watched }) }
  }

  return {
    desk: createDesk({ store, keys, isWatched: (kind, address) => placesAt(address).watches(kind) }),

    async inspect({ name, address }, subject) {
      const source = placesAt(address)
      const ofName = source.account({ name })
      const of = async (places: readonly Place[]): Promise<readonly Standing[]> => {
        const standings = places.length > 0 ? await store.inspect(places) : []
        return standings.map(each => (source.watches(each.kind) ? { ...each, watched: true } : each))
      }
      return {
        name: await of(ofName.counts),
        source: [
          ...(source.blocked && settings.mode !== 'off' ? [blockedStanding()] : []),
          ...(await of(source.source(ofName.profile))),
        ],
        subject: subject === undefined ? [] : await of(source.account({ subject }).counts),
      }
    },

    async reserve(asker) {
      const { name, address, caller } = asker
      const source = placesAt(address)
      if (source.blocked && settings.mode === 'enforce') {
        return { admitted: false, reason: 'locked', retryAfterMs: BLOCKED_MS, blocked: true }
      }
      const ofName = source.account({ name })
      const ofSource = source.source(ofName.profile)
      const all = [...ofName.counts, ...ofSource]
      const answer = await take(() => store.reserve(all, { name, address, caller }))
      if (answer.outcome !== 'reserved') return refusal(answer)
      const ignored = answer.ignored || (source.blocked && settings.mode === 'log_only')
      const lease = openLease(answer.lease, asker, source, { name: ofName, ofSource, all })
      return { admitted: true, lease, ignored }
    },
  }
}

interface OutOfReach {
  readonly outcome: 'unavailable'
}

const OUT_OF_REACH: OutOfReach = { outcome: 'unavailable' }
const ADMITTED = { admitted: true } as const

function isCrowded(answer: { readonly outcome: string }): answer is Refused & { outcome: 'no_place' } {
  return answer.outcome === 'no_place'
}

function refusal(refused: Refused | OutOfReach | { readonly outcome: 'lease_over' }): Refusal {
  switch (refused.outcome) {
    case 'locked':
      return { admitted: false, reason: 'locked', retryAfterMs: refused.retryAfterMs }
    case 'unavailable':
      return { admitted: false, reason: 'unavailable' }
    case 'no_place':
    case 'full':
    case 'lease_over':
      return { admitted: false, reason: 'busy' }
  }
}
