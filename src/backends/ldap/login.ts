/**
 * One login:
 * name → search as the service account → exactly one entry → place in its lockout → shield → bind as that entry → groups → verdict.
 */
import type { Attempt, Clock, Outcome } from '../../plugin.ts'
import type { Admissions, Admitted } from './admission.ts'
import type { Entry, EntryCache } from './entry-cache.ts'
import { noteBind, noteGroups, noteSearch } from './explanation.ts'
import type { GroupFinder } from './groups/finder.ts'
import type { LockedMemory } from './person/locked-memory.ts'
import type { Person } from './person/user.ts'
import { bindOutcome, bindWarnings } from './person/verdict.ts'
import type { Found, PersonSearch } from './person-search.ts'
import type { Directory } from './servers/directory.ts'
import type { Settings } from './settings.ts'
import { NOT_NOW, type Shield, type Watch } from './shield/shield.ts'
import { type BindAnswer, isSendable } from './wire/connection.ts'
import { DirectoryFailure } from './wire/failure.ts'
import { describe } from './wire/result.ts'

export interface LoginParts {
  readonly settings: Settings
  readonly directory: Directory
  readonly people: PersonSearch
  readonly admissions: Admissions
  readonly finder: GroupFinder
  readonly lockedMemory: LockedMemory
  /** Undefined: nobody is kept. */
  readonly entryCache: EntryCache | undefined
  readonly shield: Shield
  readonly clock: Clock
}

/** The attempt of somebody whose name may be one of ours. */
export type Login = (attempt: Attempt) => Promise<Outcome>

export function createLogin(parts: LoginParts): Login {
  const { settings, directory, people, admissions, finder, lockedMemory, entryCache, shield, clock } = parts
  const { options } = settings

  async function search({ username, signal, log, note }: Attempt): Promise<Found> {
    const started = clock.now()
    const { found, filter } = await people.findByName(username, signal)
    const base = options.base_dn
    // A name that nobody has may be a password in the wrong box (security.md S79).
    if (isDebugging(log)) {
      const asked = found.found === 'none' ? {} : { filter: filter() }
      log.debug({ ...asked, base, found: found.found }, 'searched the directory')
    }
    if (found.found === 'several') log.error({ filter: filter(), base }, 'several entries match one name')
    if (note) noteSearch(note, base, filter(), found, clock.now() - started)
    return found
  }

  /** @param kept known from the entry cache, so that the entry may have changed since */
  async function verify(person: Person, attempt: Attempt, watch: Watch, kept?: Admitted): Promise<Outcome> {
    const { dn, user } = person
    if (!(await attempt.mayVerify(user.id))) return NOT_NOW
    // A locked account answers the same to every password, and each bind may prolong its lock (directory.md).
    if (user.state === 'locked' || lockedMemory.isLocked(user.id)) {
      attempt.note?.({ what: 'bind', value: 'not tried: the directory has the account locked' })
      return { outcome: 'account_state', subject: user.id, state: 'locked', passwordVerified: false }
    }
    const notSent = await watch.admit(person, attempt)
    if (notSent) return notSent
    const started = clock.now()
    const answer = await directory.bind(dn, attempt.password, attempt.signal)
    if (isDebugging(attempt.log)) attempt.log.debug({ dn, result: describe(answer) }, 'bound as the user')
    const refusal = bindOutcome(answer, person, settings.preset)
    watch.learn(refusal)
    if (attempt.note) noteBind(attempt.note, answer, refusal, clock.now() - started)
    if (refusal?.outcome === 'account_state' && refusal.state === 'locked') lockedMemory.remember(user.id)
    if (refusal) return kept ? confirm(refusal, answer, person, attempt) : refusal
    const admitted = kept ?? (await afterBind(() => decide(person, attempt)))
    if (admitted.refusal) return { outcome: 'deny', reason: admitted.refusal }
    // A state that lets in by grace only must not outlive the grace.
    const isKept = !kept && admitted.found !== undefined && user.state === undefined
    if (isKept) entryCache?.put(attempt.username, { person, admitted })
    const warnings = bindWarnings(answer, person, clock.wall(), options.password_expiry_warning)
    // The entry may say that the password has expired, and the directory let them in on a grace login.
    const { state: _, ...usable } = admitted.user
    return { outcome: 'accept', user: usable, warnings }
  }

  async function decide(person: Person, { signal, log, note }: Attempt): Promise<Admitted> {
    const started = clock.now()
    const admitted = await admissions(person, signal, log)
    if (note) {
      const durationMs = clock.now() - started
      await noteGroups(note, { person, admitted }, finder, settings, durationMs, signal)
    }
    return admitted
  }

  /**
   * What a refusal means by the entry as it is now. One that was renamed or deleted since it was kept is refused, too: that
   * says nothing about the password.
   */
  async function confirm(
    refusal: Outcome,
    answer: BindAnswer,
    { dn, user }: Person,
    attempt: Attempt,
  ): Promise<Outcome> {
    const now = await afterBind(() => search(attempt))
    if (now.found === 'one' && now.person.dn === dn && now.person.user.id === user.id) {
      return bindOutcome(answer, now.person, settings.preset) ?? refusal
    }
    const cause = 'the entry has changed since it was kept: the next attempt finds the new one'
    return { outcome: 'unavailable', cause, phase: 'bind', credentialSent: true }
  }

  async function begin(attempt: Attempt, watch: Watch, kept: Entry | undefined): Promise<Outcome> {
    if (kept && (await watch.mayUseKept(kept.person))) {
      attempt.note?.({ what: 'entry cache', value: `${kept.person.dn}, found a moment ago: no search` })
      return verify(kept.person, attempt, watch, kept.admitted)
    }
    const found = await search(attempt)
    switch (found.found) {
      case 'none':
        return { outcome: 'unknown_user' }
      case 'several':
        return { outcome: 'ambiguous', count: found.count }
      case 'one':
        return verify(found.person, attempt, watch)
    }
  }

  return async attempt => {
    if (!isSendable(attempt.password)) {
      return { outcome: 'deny', reason: 'the password is empty or cannot be sent' }
    }
    // Opened before the search: what fails from now on the entry need not show.
    const watch = shield.watch()
    let outcome: Outcome | undefined
    try {
      outcome = await begin(attempt, watch, entryCache?.get(attempt.username)).catch(asUnavailable)
    } finally {
      watch.close(outcome)
    }
    if (outcome.outcome !== 'accept') entryCache?.drop(attempt.username)
    return outcome
  }
}

/** A log that does not say may want everything. */
function isDebugging(log: Attempt['log']): boolean {
  return log.isLevelEnabled?.('debug') ?? true
}

/** What fails here fails after the password went out, whatever it is by itself. */
async function afterBind<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof DirectoryFailure)) throw error
    throw new DirectoryFailure(error.message, { phase: error.phase, credentialSent: true })
  }
}

function asUnavailable(error: unknown): Outcome {
  if (!(error instanceof DirectoryFailure)) throw error
  const { message: cause, phase, credentialSent } = error
  return { outcome: 'unavailable', cause, phase, credentialSent }
}
