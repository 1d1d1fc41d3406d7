import type { Link } from './chain.ts'
import { type Rule, type Rules, ruleFor, type StepOutcome } from './rule.ts'

/** A configured backend in its place, also one that is switched off. */
export interface Place {
  readonly id: string
  /** The word after `type:`. */
  readonly type: string
  /** Undefined: `enabled: false`. */
  readonly link?: Link
  /** Rules that are not the configuration's own words but somebody else's, such as `preset active-directory`. */
  readonly ruleOrigins: Partial<Record<keyof Rules, string>>
}

/** The rule that holds here, with its origin in its name. */
export function placeRule({ ruleOrigins }: Place, link: Link, outcome: StepOutcome): Rule {
  const rule = ruleFor(outcome, link)
  const origin = rule.option && ruleOrigins[rule.option]
  return origin === undefined ? rule : { ...rule, name: `${rule.name} (${origin})` }
}
