/** What the states of an account are called where people read them. */
import type { AccountState } from './outcome.ts'

/** Each a clause of its own, so that it fits behind a name, a colon or an "and". */
const IN_WORDS: Readonly<Record<AccountState, string>> = {
  disabled: 'the account is disabled',
  expired: 'the account has expired',
  password_expired: 'the password has expired',
  password_must_change: 'the password must be changed first',
  logon_hours: 'the account may not log in at this hour',
  workstation_not_allowed: 'the account may not log in from here',
  locked: 'the directory has the account locked',
  restricted: 'a restriction of the account forbids this kind of login',
}

/** Why an account in this state may not log in, in words for operators. */
export function stateInWords(state: AccountState): string {
  return IN_WORDS[state]
}

/** Is this one of the states that there are, whoever says so? */
export function isAccountState(value: unknown): value is AccountState {
  return typeof value === 'string' && Object.hasOwn(IN_WORDS, value)
}
