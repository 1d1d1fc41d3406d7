/**
 * Checks an attempt against the local users: one request, one password hash (chain.md, Timing).
 *
 * A stranger must not learn from the time of a reply whether somebody exists. `email` and `local` may stand in either
 * order, alone, or with a rule that stops the chain between them, and each may or may not know the name. So:
 *
 * - The name is looked up at once as username and as address (one name space: at most one person). Whichever of the
 *   two backends is asked first spends the request's one hash: on that person's record, even if the name is theirs
 *   only in the other backend's sense, or on a dummy if there is nobody.
 * - The second backend takes the same verification over and computes nothing.
 * - Each then speaks only of a person whom the name means in its own sense; to the other one it is an unknown user.
 *
 * | asked about             | first asked                         | then                                 | hashes |
 * |-------------------------|-------------------------------------|--------------------------------------|--------|
 * | alice, email → local    | email: unknown_user                 | local: accept, wrong_password, …     | 1      |
 * | alice@x, email → local  | email: accept, wrong_password, …    | local: unknown_user                  | 1      |
 * | alice@x, local → email  | local: unknown_user                 | email: accept, wrong_password, …     | 1      |
 * | nobody, nobody@x        | unknown_user                        | unknown_user                         | 1      |
 * | either alone, any name  | its word                            |                                      | 1      |
 *
 * A verification made ahead stays sealed until the backend that speaks of the person has its place in their lockout;
 * when that is refused, nothing more is verified. It takes as long right as wrong, so the seal has no crack.
 *
 * The requests are told apart by their `Secret`, an object of their own. What is shared is bound to the stored hash
 * and used once, so that it can only ever be the answer to the same question.
 */
import type { Attempt, BackendHealth } from '../authentication/backend.ts'
import type { LocalUsers } from '../authentication/local-users.ts'
import type { Log } from '../authentication/log.ts'
import { type Outcome, UnavailableError, type User } from '../authentication/outcome.ts'
import type { Secret } from '../authentication/secret.ts'
import type { Login, UserStore } from './store.ts'
import type { StoredUser } from './user.ts'

/** What this room needs of password hashing. Both reject with UnavailableError when no hash can be computed now. */
export interface Passwords {
  hash(secret: Secret): Promise<string>
  /** One hash's work, whatever is stored; undefined never verifies. `stale` asks for a new hash of the same password. */
  verify(
    stored: string | undefined,
    secret: Secret,
    signal?: AbortSignal,
  ): Promise<{ readonly verified: boolean; readonly stale: boolean }>
}

export interface LocalUsersParts {
  readonly store: UserStore
  readonly passwords: Passwords
  readonly log: Pick<Log, 'warn'>
}

type Sense = 'isUsername' | 'isEmail'
type Verification = Awaited<ReturnType<Passwords['verify']>>

/** What the first of the two backends leaves for the second. */
interface Spent {
  readonly by: Sense
  readonly stored: string | undefined
  /** Undefined when this person was not to be verified. */
  readonly verification: Promise<Verification> | undefined
}

export function createLocalUsers({ store, passwords, log }: LocalUsersParts): LocalUsers {
  const spent = new WeakMap<Secret, Spent>()
  const rehashing = new Set<string>()

  async function authenticate(sense: Sense, name: string, attempt: Attempt): Promise<Outcome> {
    const { password, signal } = attempt
    try {
      const login = store.findLogin(name)
      const stored = login?.passwordHash
      const earlier = takeOver(sense, stored, password)
      const verify = () => {
        const verification = passwords.verify(stored, password, signal)
        spent.set(password, { by: sense, stored, verification })
        return verification
      }

      if (login === undefined || !login[sense]) {
        if (earlier === undefined) await verify()
        return { outcome: 'unknown_user' }
      }
      if (!(await attempt.mayVerify(login.user.id))) {
        spent.set(password, { by: sense, stored, verification: undefined })
        return { outcome: 'not_applicable', reason: 'not to be verified' }
      }
      const { verified, stale } = await (earlier?.verification ?? verify())
      const outcome = judge(login, verified)
      if (stale && outcome.outcome === 'accept') void rehash(login, password)
      return outcome
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error
      return { outcome: 'unavailable', cause: error.message, phase: error.phase, credentialSent: false }
    }
  }

  /** What the other backend has spent in this request on the same stored hash. */
  function takeOver(sense: Sense, stored: string | undefined, password: Secret): Spent | undefined {
    const earlier = spent.get(password)
    spent.delete(password)
    return earlier?.by !== sense && earlier?.stored === stored ? earlier : undefined
  }

  /** Beside the reply and not before it: the login is good whether or not this succeeds. */
  async function rehash({ user, passwordHash }: Login, password: Secret): Promise<void> {
    if (passwordHash === undefined || rehashing.has(user.id)) return
    rehashing.add(user.id)
    try {
      store.replacePasswordHash(user.id, passwordHash, await passwords.hash(password))
    } catch (error) {
      log.warn(
        { err: error, user: user.id },
        'the hash of a password could not be renewed; the next login tries again',
      )
    } finally {
      rehashing.delete(user.id)
    }
  }

  function getUser(id: string): User | undefined {
    const user = store.findById(id)
    return user && toUser(user)
  }

  function find(sense: Sense, name: string): User | undefined {
    const login = store.findLogin(name)
    return login?.[sense] ? toUser(login.user) : undefined
  }

  function probe(): BackendHealth {
    try {
      store.probe()
      return { ok: true }
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error
      return { ok: false, reason: error.message }
    }
  }

  return {
    authenticateByUsername: (username, attempt) => authenticate('isUsername', username, attempt),
    authenticateByEmail: (email, attempt) => authenticate('isEmail', email, attempt),
    findByUsername: username => find('isUsername', username),
    findByEmail: email => find('isEmail', email),
    count: () => store.count(),
    getUser,
    probe,
  }
}

function judge({ user }: Login, verified: boolean): Outcome {
  if (user.disabled) {
    return { outcome: 'account_state', subject: user.id, state: 'disabled', passwordVerified: verified }
  }
  if (!verified) return { outcome: 'wrong_password', subject: user.id }
  return { outcome: 'accept', user: toUser(user) }
}

function toUser({ id, username, email, displayName, groups, disabled }: StoredUser): User {
  return {
    id,
    username,
    ...(displayName !== undefined && { displayName }),
    ...(email !== undefined && { email }),
    groups,
    roles: [],
    attributes: {},
    ...(disabled && { state: 'disabled' }),
  }
}
