/** A whole login desk in this process: the real use case, chain, lockout and store, in front of the simulated directory. */
import { createAuthenticate } from '../../src/authentication/authenticate.ts'
import { createChain } from '../../src/authentication/chain.ts'
import type { Asker, Ceiling, Lease, Lockout, Standings } from '../../src/authentication/lockout.ts'
import type { PasswordTag } from '../../src/authentication/password-tag.ts'
import { Secret } from '../../src/authentication/secret.ts'
import { createUsernameNormaliser, type NormaliseUsername } from '../../src/authentication/username.ts'
import type { Verdict } from '../../src/authentication/verdict.ts'
import type { LockoutSettings } from '../../src/lockout/limits.ts'
import { createLockout } from '../../src/lockout/lockout.ts'
import { createMemoryStore } from '../../src/lockout/memory-store.ts'
import type { LockoutStore } from '../../src/lockout/store.ts'
import type { Chance } from '../support/chance.ts'
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts'
import { LOCKOUT_SETTINGS } from '../support/lockout.ts'
import { createLogRecorder, type LogRecorder } from '../support/log-recorder.ts'
import { createDirectory, type Directory, type Person, REALM } from './directory.ts'
import type { Played } from './scene.ts'

export interface Desk {
  readonly clock: FakeClock
  readonly directory: Directory
  readonly lockout: Lockout
  readonly store: LockoutStore
  readonly log: LogRecorder
  readonly normalise: NormaliseUsername
  login(name: string, password: string, address: string): Promise<Verdict['verdict']>
  /** With a wrong password that nobody tried before. */
  guess(name: string, address: string): Promise<Verdict['verdict']>
  /** Where this account stands, asked for from there. */
  inspect(name: string, address: string): Promise<Standings>
  /**
   * Fresh guesses at this person of which the 16 bits that are remembered of a password were those of an earlier one: each is
   * one guess that the lockout takes for a repetition, one in 22,000 (docs/attacks.md).
   */
  twins(person: Person): number
  /** For a row. */
  memory(): NonNullable<Played['memory']>
}

const MIB = 1024 ** 2
/** As many as the lockout remembers of an account, and those that may be under way beside them. */
const LAST_TAGS = 12
const BUDGET_BYTES = 16 * MIB
/** The app through which fresh guesses come, so that they are told from logins. */
const GUESSER = 'login form'
const SECRET = new Uint8Array(32).fill(7)

/** @param options.ownLock the directory locks by itself, and the daemon knows when */
export function openDesk(
  people: readonly Person[],
  options: {
    readonly chance: Chance
    readonly settings?: Partial<LockoutSettings>
    readonly bytes?: number
    readonly ownLock?: Ceiling
    /** For a scene that knows which guesses are fresh. */
    readonly passwordTag?: PasswordTag
  },
): Desk {
  const { chance, settings, bytes = BUDGET_BYTES, ownLock, passwordTag } = options
  const clock = createFakeClock()
  const log = createLogRecorder()
  const directory = createDirectory(people, { chance, clock, ...(ownLock && { ownLock }) })
  const store = createMemoryStore({ clock, log, bytes, random: chance.next })
  const lockout = createLockout({
    settings: { ...LOCKOUT_SETTINGS, ...settings },
    secret: SECRET,
    clock,
    log,
    store,
  })
  const normalise = createUsernameNormaliser([REALM])
  const tags = new Map<Person, number[]>()
  const twins = new Map<Person, number>()
  let guesses = 0
  let requests = 0

  /** The lockout as it is, but for a look at the tags. */
  const overheard: Lockout = {
    ...lockout,
    async reserve(asker) {
      const reservation = await lockout.reserve(asker)
      if (!reservation.admitted) return reservation
      const { lease } = reservation
      const claim: Lease['claim'] = (subject, ceiling) => overhear(lease, asker, subject, ceiling)
      return { ...reservation, lease: { ...lease, claim } }
    },
  }

  async function overhear(
    lease: Lease,
    asker: Asker,
    subject: string,
    ceiling: Ceiling | undefined,
  ): ReturnType<Lease['claim']> {
    const admission = await lease.claim(subject, ceiling)
    const isFirst = ceiling === undefined
    if (admission.admitted && isFirst && asker.caller === GUESSER)
      compareTags(asker.name, asker.passwordTag?.())
    return admission
  }

  function compareTags(name: string, tag: number | undefined): void {
    const normalised = normalise(name)
    const person = normalised.ok ? directory.find(normalised.username) : undefined
    if (person === undefined || tag === undefined) return
    const last = tags.get(person) ?? []
    if (last.includes(tag)) twins.set(person, (twins.get(person) ?? 0) + 1)
    tags.set(person, [...last, tag].slice(-LAST_TAGS))
  }

  const chain = createChain(
    [
      {
        backend: directory.backend,
        on: { accept: 'stop', unknown_user: 'continue', wrong_password: 'continue', unavailable: 'continue' },
        timeoutMs: 30_000,
        maxInFlight: Number.POSITIVE_INFINITY,
        deny: false,
        usernameFilter: () => true,
      },
    ],
    30_000,
    clock,
  )
  const authenticate = createAuthenticate({
    chain,
    lockout: overheard,
    ...(passwordTag && { passwordTag }),
    normalise,
    clock,
    log,
    onAttempt: () => {},
  })

  async function ask(caller: string, name: string, password: string, address: string) {
    const { verdict } = await authenticate({
      requestId: `r${++requests}`,
      caller: { id: caller, requiredGroups: [] },
      username: name,
      password: new Secret(password),
      address,
    })
    return verdict
  }

  return {
    clock,
    directory,
    lockout,
    store,
    log,
    normalise,
    login: (name, password, address) => ask('wiki', name, password, address),
    guess: (name, address) => ask(GUESSER, name, `wrong ${++guesses}`, address),
    async inspect(name, address) {
      const normalised = normalise(name)
      if (!normalised.ok) throw new Error(`${name} ${normalised.problem}`)
      const person = directory.find(normalised.username)
      const subject = person && directory.subjectOf(person)
      return lockout.inspect({ name: normalised.username.text, address }, subject)
    },
    twins: person => twins.get(person) ?? 0,
    memory() {
      const { bytes, budgetBytes } = store.report()
      if (bytes === undefined || budgetBytes === undefined) throw new Error('the store accounts for nothing')
      return { bytes, mostBytes: budgetBytes, what: 'accounted' }
    },
  }
}
