import type { Clock } from '../authentication/clock.ts'
import type { Asker, Charge, Lease, LockNote, Lockout, Refusal, Standing } from '../authentication/lockout.ts'
import type { Log } from '../authentication/log.ts'
import { UnavailableError } from '../authentication/outcome.ts'
import { createDesk } from './desk.ts'
import { createGuessMemory } from './guess-memory.ts'
import { createLockoutKeys } from './keys.ts'
import type { LockoutSettings } from './limits.ts'
import { createPlaces, keysOf, type SourcePlaces } from './places.ts'
import type { Ending, LockoutStore, Place, Refused } from './store.ts'
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

  function openLease(id: string, asker: Asker, source: SourcePlaces, ofSource: readonly Place[]): Lease {
    const name = source.account({ name: asker.name })
    const claimed = new Set<string>()
    /** Of each subject whose secret goes to a directory that locks by itself. */
    const atDirectory = new Map<string, readonly Place[]>()
    const waitedFor = new Set([...name.counts, ...ofSource].flatMap(keysOf))

    const noteOn = (subject: string | undefined): LockNote => ({
      name: asker.name,
      address: asker.address,
      caller: asker.caller,
      ...(subject !== undefined && { subject }),
    })

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
        for (const key of waitedFor) line.call(key)
      }
    }

    function endingOf({ name: byName, subjects, source: bySource, accepted }: Charge): Ending {
      const known = new Set([...claimed, ...subjects, ...(accepted === undefined ? [] : [accepted])])
      const isNew = (profile: string) =>
        asker.passwordTag === undefined || !guesses.repeats(profile, asker.passwordTag, known.size > 0)
      const wrong = subjects.map(subject => ({ subject, places: source.account({ subject }) }))
      const failed = [
        ...wrong.flatMap(({ places }) => (isNew(places.profile) ? places.counts : [])),
        ...(byName && isNew(name.profile) ? name.counts : []),
        // What went out to the directory counts there, again or not.
        ...subjects.flatMap(subject => atDirectory.get(subject) ?? []),
        ...(bySource ? ofSource : []),
      ]
      const resolved = {
        name: name.profile,
        subjects: [...known].map(subject => source.account({ subject }).profile),
      }
      if (accepted === undefined) return { failed, cleared: [], passed: [], resolved }
      const theirs = source.account({ subject: accepted })
      return {
        failed,
        // The source's own count stays: or an attacker would log in to his own account between guesses.
        cleared: [...name.cleared, ...theirs.cleared, ...(atDirectory.get(accepted) ?? []).flatMap(keysOf)],
        passed: [...name.passed, ...theirs.passed, ...ofSource],
        familiar: { source: source.key, profiles: [name.profile, theirs.profile] },
        resolved,
      }
    }

    return {
      async claim(subject, ceiling) {
        const atTheirs = ceiling === undefined ? [] : source.directory(subject, ceiling)
        const places = [...source.account({ subject }).counts, ...atTheirs]
        for (const place of places) for (const key of keysOf(place)) waitedFor.add(key)
        const answer = await asking(() => takePlaces(() => store.extend(id, places, noteOn(subject))))
        if (answer.outcome !== 'extended') return refusal(answer)
        claimed.add(subject)
        if (ceiling !== undefined) atDirectory.set(subject, atTheirs)
        return { admitted: true }
      },
      commit: charge => end(endingOf(charge), charge.accepted ?? charge.subjects[0]),
      async release() {
        await end({ failed: [], cleared: [], passed: [], resolved: { name: name.profile, subjects: [] } })
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
      const places = [...ofName.counts, ...ofSource]
      const answer = await asking(() => takePlaces(() => store.reserve(places, { name, address, caller })))
      if (answer.outcome !== 'reserved') return refusal(answer)
      const ignored = answer.ignored || (source.blocked && settings.mode === 'log_only')
      return { admitted: true, lease: openLease(answer.lease, asker, source, ofSource), ignored }
    },
  }
}

function isCrowded(answer: { readonly outcome: string }): answer is Refused & { outcome: 'no_place' } {
  return answer.outcome === 'no_place'
}

/** A store that is out of reach refuses: nothing is verified that cannot be counted. */
async function asking<T>(work: () => Promise<T>): Promise<T | { readonly outcome: 'unavailable' }> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof UnavailableError) return { outcome: 'unavailable' }
    throw error
  }
}

function refusal(refused: Refused | { readonly outcome: 'lease_over' | 'unavailable' }): Refusal {
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
