/** What a login or a look says to whoever has it explained: facts for operators, never a secret. */
import { type Fact, type Outcome, stateInWords } from '../../plugin.ts'
import type { Admitted } from './admission.ts'
import type { GroupFinder } from './groups/finder.ts'
import { showPath } from './groups/paths.ts'
import type { Person } from './person/user.ts'
import type { Found } from './person-search.ts'
import type { Settings } from './settings.ts'
import type { BindAnswer } from './wire/connection.ts'
import { DirectoryFailure } from './wire/failure.ts'
import { saidBy, subCode } from './wire/result.ts'

type Note = (fact: Fact) => void

/** @param filter as it was sent, as text */
export function noteSearch(note: Note, base: string, filter: string, found: Found, durationMs: number): void {
  note({ what: 'base', value: base })
  note({ what: 'filter', value: filter })
  note({ what: 'found', value: whom(found), durationMs })
  if (found.found !== 'one') return
  const { id, state } = found.person.user
  note({ what: 'id', value: id })
  if (state) note({ what: 'state', value: `${stateInWords(state)}, says the entry` })
}

function whom(found: Found): string {
  switch (found.found) {
    case 'none':
      return 'nobody'
    case 'several':
      return `${found.count} entries or more: no password is sent`
    case 'one':
      return found.person.dn
  }
}

/**
 * What the directory answered to the bind, and what that means; its own words only where they say more.
 *
 * @param refusal undefined if the password is right and nothing speaks against the account
 */
export function noteBind(
  note: Note,
  answer: BindAnswer,
  refusal: Outcome | undefined,
  durationMs: number,
): void {
  note({ what: 'bind', value: `${resultOf(answer)}: ${inWords(refusal)}`, durationMs })
  const said = saidBy(answer)
  if (said !== '' && !isUnderstood(answer, refusal)) note({ what: 'server said', value: said })
}

/** Active Directory's sub-code of a wrong password. */
const WRONG_PASSWORD = '52e'

/** Does the sub-code say it all? Active Directory's text is the same for every refusal then. */
function isUnderstood(answer: BindAnswer, refusal: Outcome | undefined): boolean {
  const sub = subCode(answer)
  if (sub === undefined || refusal?.outcome === 'unavailable') return false
  return refusal?.outcome !== 'wrong_password' || sub === WRONG_PASSWORD
}

/** The result's number and what stands beside it: Active Directory's sub-code, the password policy's word. */
function resultOf(answer: BindAnswer): string {
  const sub = subCode(answer)
  const policy = answer.policy?.error
  return [
    `result ${answer.code}`,
    sub && `AD ${sub}`,
    policy && `password policy ${policy.replaceAll('_', ' ')}`,
  ]
    .filter(Boolean)
    .join(', ')
}

/** What the paths may take of the time that the login still has, in milliseconds. */
const PATHS_MS = 500

/** The groups, each with the path that led to it, and what they mean. */
export async function noteGroups(
  note: Note,
  { person, admitted }: { readonly person: Person; readonly admitted: Admitted },
  finder: GroupFinder,
  settings: Settings,
  durationMs: number,
  signal: AbortSignal,
): Promise<void> {
  const { found, refusal } = admitted
  if (found === undefined) {
    note({ what: 'groups', value: 'cannot be read: goes on without groups and roles', durationMs })
    return
  }
  const { groups, way } = found
  note({ what: 'groups', value: `${groups.length}, found by ${way}`, durationMs })
  try {
    const patience = AbortSignal.any([signal, AbortSignal.timeout(PATHS_MS)])
    for (const path of await finder.explain(person.member, groups, patience)) {
      note({ what: 'group', value: showPath(path, person.user.username) })
    }
  } catch (error) {
    // Only the explanation is shorter: what it explains must not fail for it.
    if (!(error instanceof DirectoryFailure)) throw error
    for (const { name } of groups) note({ what: 'group', value: name })
  }
  for (const { role, pattern, matches } of settings.roles) {
    if (matches(groups)) note({ what: 'role', value: `${role}, by ${pattern}` })
  }
  if (refusal) note({ what: 'refused', value: refusal })
}

function inWords(refusal: Outcome | undefined): string {
  switch (refusal?.outcome) {
    case undefined:
      return 'the password is right'
    case 'account_state':
      return `${stateInWords(refusal.state)}; ${refusal.passwordVerified ? 'the password is right' : 'nothing is said about the password'}`
    case 'wrong_password':
      return 'wrong password'
    case 'unknown_user':
      return 'no such user'
    case 'unavailable':
      return 'says nothing about the password'
    case 'accept':
    case 'ambiguous':
    case 'deny':
    case 'not_applicable':
      return refusal.outcome
  }
}
