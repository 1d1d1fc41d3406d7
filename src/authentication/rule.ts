/** What follows on what a backend answered (chain.md, What the chain does): the one table, and what its lines are called. */
import type { OutcomeKind } from './outcome.ts'

/** What follows on an outcome; the ones that are not here cannot be configured. */
export interface Rules {
  readonly accept: 'stop' | 'continue'
  readonly unknown_user: 'stop' | 'continue'
  readonly wrong_password: 'stop' | 'continue'
  readonly unavailable: 'stop' | 'continue'
}

/** What asking a backend can come to. */
export type StepOutcome = OutcomeKind | 'subject_locked' | 'busy'

export interface Rule {
  readonly next: 'stop' | 'continue'
  /** For operators, such as `on.wrong_password: stop`. */
  readonly name: string
  /** The option that says so, where one does. */
  readonly option?: keyof Rules
}

/** @param place.deny a deny list: known there means denied, and its own outage is fatal for the attempt */
export function ruleFor(outcome: StepOutcome, place: { readonly on: Rules; readonly deny: boolean }): Rule {
  const { on, deny } = place
  const mustAccept = on.accept === 'continue'
  switch (outcome) {
    case 'accept':
      return configured(on, 'accept')
    case 'unknown_user':
      return mustAccept ? REQUIRED : configured(on, 'unknown_user')
    case 'wrong_password':
    case 'subject_locked':
      return mustAccept ? REQUIRED : configured(on, 'wrong_password')
    case 'unavailable':
      if (deny) return { next: 'stop', name: 'deny: true (a deny list that is out ends the attempt)' }
      return mustAccept ? REQUIRED : configured(on, 'unavailable')
    case 'not_applicable':
      return mustAccept ? REQUIRED : { next: 'continue', name: 'not_applicable always continues' }
    case 'account_state':
    case 'ambiguous':
    case 'deny':
    case 'busy':
      return { next: 'stop', name: `${outcome} always stops` }
  }
}

const REQUIRED: Rule = {
  next: 'stop',
  name: 'on.accept: continue (without its acceptance nobody gets in)',
  option: 'accept',
}

function configured(on: Rules, option: keyof Rules): Rule {
  return { next: on[option], name: `on.${option}: ${on[option]}`, option }
}
