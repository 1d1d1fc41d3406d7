/**
 * Sees password spraying, which no count of one account shows: one source, or one password, that fails on many accounts
 * (security.md S55). It refuses nobody; the lockout bounds sources, and a password that many sources try is for somebody to look at.
 */
import { hash, randomBytes } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Clock } from '../authentication/clock.ts'
import type { Asker, Lockout } from '../authentication/lockout.ts'
import type { Log } from '../authentication/log.ts'

export type SprayKind = 'source' | 'password'

export interface SprayWatchOptions {
  readonly clock: Pick<Clock, 'now'>
  readonly log: Log
  /** Once for each source or password within its window. */
  readonly onSpray: (by: SprayKind) => void
}

/** So many accounts make a spray: more than a household of wrong passwords, fewer than lock a source. */
const ACCOUNTS = 10
const WINDOW_MS: Readonly<Record<SprayKind, number>> = { source: 15 * 60_000, password: 60 * 60_000 }
/** Of each kind; the least recent goes first. At most 10 numbers each: some 5 MB in all. */
const MOST_WATCHED = 4_096

interface Seen {
  readonly since: number
  /** By a number each; undefined once it has been told. */
  accounts: Set<number> | undefined
}

/** Makes what watches a lockout: each attempt passes through as it is, and those that fail, or are locked out, are seen. */
export function createSprayWatch({ clock, log, onSpray }: SprayWatchOptions): (lockout: Lockout) => Lockout {
  const salt = randomBytes(16).toString('hex')
  const watched: Readonly<Record<SprayKind, LRUCache<string | number, Seen>>> = {
    source: new LRUCache({ max: MOST_WATCHED }),
    password: new LRUCache({ max: MOST_WATCHED }),
  }

  function see({ name, address, caller, passwordTag }: Asker): void {
    if (passwordTag === undefined) return
    const account = numberOf(hash('sha256', `${salt}${name}`, 'latin1'))
    if (addTo('source', address, account)) {
      onSpray('source')
      log.warn(
        { event: 'authn_password_spray', by: 'source', source: address, client: caller, accounts: ACCOUNTS },
        SAID,
      )
    }
    // Neither the password nor its tag: whoever reads the log shall not know whose passwords are the same.
    if (addTo('password', passwordTag(), account)) {
      onSpray('password')
      const last = { last_source: address, last_client: caller }
      log.warn({ event: 'authn_password_spray', by: 'password', ...last, accounts: ACCOUNTS }, SAID)
    }
  }

  /** @returns true where it has just become a spray */
  function addTo(kind: SprayKind, key: string | number, account: number): boolean {
    const now = clock.now()
    let seen = watched[kind].get(key)
    if (seen === undefined || now - seen.since >= WINDOW_MS[kind]) {
      seen = { since: now, accounts: new Set() }
      watched[kind].set(key, seen)
    }
    if (seen.accounts === undefined) return false
    seen.accounts.add(account)
    if (seen.accounts.size < ACCOUNTS) return false
    seen.accounts = undefined
    return true
  }

  return lockout => ({
    ...lockout,
    async reserve(asker) {
      const reservation = await lockout.reserve(asker)
      if (!reservation.admitted) {
        if (reservation.reason === 'locked') see(asker)
        return reservation
      }
      const { lease } = reservation
      return {
        ...reservation,
        lease: {
          ...lease,
          commit(charge) {
            if (charge.name || charge.subjects.length > 0) see(asker)
            return lease.commit(charge)
          },
        },
      }
    },
  })
}

/** The first 32 bits of a digest, a character for each octet: a buffer for them would cost more than the digest. */
function numberOf(digest: string): number {
  let number = 0
  for (let at = 0; at < 4; at++) number = (number << 8) | digest.charCodeAt(at)
  return number
}

const SAID = 'one source or one password fails on many accounts: somebody may be spraying'
