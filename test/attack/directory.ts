/**
 * A directory of people in this process, and the only witness of an attack: what is counted here was verified, whatever the
 * lockout says. It can lock accounts by itself, counting as Active Directory does.
 */
import { setImmediate as turn } from 'node:timers/promises'
import type { Backend } from '../../src/authentication/backend.ts'
import type { Clock } from '../../src/authentication/clock.ts'
import type { Ceiling } from '../../src/authentication/lockout.ts'
import type { Outcome } from '../../src/authentication/outcome.ts'
import type { Realm, Username } from '../../src/authentication/username.ts'
import { createWrongPasswords } from '../../src/backends/ldap/shield/wrong-passwords.ts'
import type { Chance } from '../support/chance.ts'

export const REALM: Realm = { netbios: 'CORP', suffixes: ['corp.example', 'corp.alt'] }
const BACKEND_ID = 'corp'

export interface Person {
  /** Stable, and never seen by who logs in. */
  readonly id: string
  /** Each in the form that a directory holds: without the domain of the realm, but mail addresses as a whole. */
  readonly names: readonly [string, ...string[]]
  readonly password: string
}

/** What the directory knows of one account. */
export interface Witnessed {
  /** Wrong passwords that were verified. */
  readonly wrong: number
  readonly right: number
  /** The most that ever counted at once towards its own lock. */
  readonly mostBad: number
  /** How often it locked the account by itself. */
  readonly locks: number
}

export interface Directory {
  readonly backend: Backend
  /** False: an outage. Nothing is verified then. */
  available: boolean
  find(username: Pick<Username, 'user' | 'typed'>): Person | undefined
  /** The subject as the lockout knows it. */
  subjectOf(person: Person): string
  of(person: Person): Witnessed
  /** Wrong passwords in sum, of everybody. */
  wrongInSum(): number
  /** Attempts on names that are nobody's. */
  unknown(): number
}

/** Nobody changes a password here. */
const SET_AT = '1'
const LONGER_MS = 60_000

function wrongFor({ id }: Person): Outcome {
  return { outcome: 'wrong_password', subject: id }
}

/** Some people that a scene needs by name, and as many more as it wants. */
export function crowd(size: number): readonly Person[] {
  return Array.from({ length: size }, (_, index) => ({
    id: `id-${index}`,
    names: [`user${index}`, `user${index}@mail.example`],
    password: `right of ${index}`,
  }))
}

/**
 * @param options.chance decides how many turns of the event loop pass on the way there and on the way back, so that answers
 * overtake each other
 * @param options.ownLock the directory locks accounts by itself
 */
export function createDirectory(
  people: readonly Person[],
  options: { readonly chance: Chance; readonly clock: Clock; readonly ownLock?: Ceiling },
): Directory {
  const { chance, clock, ownLock } = options
  const byName = new Map(people.flatMap(person => person.names.map(name => [name, person] as const)))
  const accounts = new Map<string, ReturnType<typeof newAccount>>()
  // As the LDAP backend keeps them from such a directory.
  const wrongPasswords = createWrongPasswords(clock)
  let unknown = 0
  let wrong = 0

  const newAccount = () => ({ wrong: 0, right: 0, mostBad: 0, locks: 0, bad: 0, lastBadMs: 0, locked: false })
  const accountOf = ({ id }: Person) => {
    const account = accounts.get(id) ?? newAccount()
    accounts.set(id, account)
    return account
  }
  const find = ({ user, typed }: Pick<Username, 'user' | 'typed'>) => byName.get(user) ?? byName.get(typed)

  async function travel(): Promise<void> {
    for (let turns = chance.below(4); turns >= 0; turns--) await turn()
  }

  function verify(person: Person, password: string): Outcome {
    const account = accountOf(person)
    if (account.locked) {
      return { outcome: 'account_state', subject: person.id, state: 'locked', passwordVerified: false }
    }
    if (password === person.password) {
      account.right++
      account.bad = 0
      return {
        outcome: 'accept',
        user: { id: person.id, username: person.names[0], groups: [], roles: [], attributes: {} },
      }
    }
    account.wrong++
    wrong++
    if (ownLock !== undefined) {
      // [MS-SAMR] section 3.1.1.9: the count is of those since the last one is younger than the window.
      if (clock.now() - account.lastBadMs >= ownLock.windowMs) account.bad = 0
      account.bad++
      account.lastBadMs = clock.now()
      account.mostBad = Math.max(account.mostBad, account.bad)
      if (account.bad >= ownLock.threshold) {
        account.locked = true
        account.locks++
      }
    }
    return wrongFor(person)
  }

  const directory: Directory = {
    available: true,
    find,
    subjectOf: ({ id }) => `${BACKEND_ID}:${id}`,
    of: accountOf,
    wrongInSum: () => wrong,
    unknown: () => unknown,
    backend: {
      id: BACKEND_ID,
      realm: REALM,
      async authenticate({ username, password, mayVerify }) {
        await travel()
        const person = find(username)
        if (!directory.available) {
          return { outcome: 'unavailable', cause: 'an outage', phase: 'search', credentialSent: false }
        }
        if (person === undefined) {
          unknown++
          return { outcome: 'unknown_user' }
        }
        const refused: Outcome = { outcome: 'not_applicable', reason: 'refused' }
        if (!(await mayVerify(person.id))) return refused
        if (ownLock !== undefined) {
          if (wrongPasswords.isRemembered(person.id, SET_AT, password)) return wrongFor(person)
          if (!(await mayVerify(person.id, ownLock))) return refused
        }
        await travel()
        const outcome = verify(person, password.reveal())
        await travel()
        if (ownLock !== undefined && outcome.outcome === 'wrong_password') {
          wrongPasswords.remember(person.id, SET_AT, password, ownLock.windowMs + LONGER_MS)
        }
        return outcome
      },
      getUser: async () => undefined,
      probe: async () => ({ ok: true }),
      close: async () => {},
    },
  }
  return directory
}
