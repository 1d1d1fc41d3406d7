import type { PresentedExplanation, PresentedStep } from '../http/explanation.ts'
import type { PresentedLockout } from '../http/locks.ts'
import { standingLines } from './lockout-output.ts'
import { type Paint, visible } from './terminal.ts'

/** An explanation for people. */
export function formatExplanation(explanation: PresentedExplanation, paint: Paint): string {
  const { steps, verdict, reason, backend, rule, ms } = explanation
  const decided = [backend, rule].filter(part => part !== undefined).join(', ')
  const good = verdict === 'accepted' || verdict === 'depends_on_password'
  return [
    ...heading(explanation, paint),
    '',
    ...steps.flatMap((step, index) => [...formatStep(step, index + 1, paint), '']),
    `${paint(good ? 'green' : 'red', `→ ${verdict}`)}: ${visible(reason)}${decided && ` (${visible(decided)})`}`,
    ...(explanation.user && verdict === 'accepted' ? userLines(explanation.user) : []),
    ...(explanation.warnings ?? []).map(warning => row('warning', warningInWords(warning))),
    `  ${ms} ms in all`,
    '',
  ].join('\n')
}

function heading(explanation: PresentedExplanation, paint: Paint): string[] {
  const { mode, given, username, address, lockout, lockout_after } = explanation
  const how =
    mode === 'attempt'
      ? 'a real attempt, logged and counted like any other'
      : 'without a password: nothing is tried and nothing is counted'
  const domain = username?.domain === undefined ? '' : `, which is ${username.user} in ${username.domain}`
  return [
    `${paint('bold', visible(given))}, from ${address}: ${how}`,
    row('name', username === undefined ? 'cannot be one' : visible(`${username.text}${domain}`)),
    ...(lockout === undefined
      ? [row('lockout', 'not known: only a running daemon remembers failures')]
      : lockoutLines('lockout', lockout)),
    ...(lockout_after === undefined ? [] : lockoutLines('afterwards', lockout_after)),
  ]
}

function lockoutLines(label: string, lockout: PresentedLockout): string[] {
  return standingLines(lockout).map((line, index) => row(index === 0 ? label : '', line))
}

const SHOWN: Readonly<
  Record<PresentedStep['outcome'], readonly ['green' | 'yellow' | 'red' | 'dim', string]>
> = {
  accept: ['green', 'accepts'],
  found: ['green', 'found'],
  unknown_user: ['yellow', 'does not know the name'],
  wrong_password: ['red', 'wrong password'],
  account_state: ['red', 'refuses'],
  ambiguous: ['red', 'ambiguous'],
  deny: ['red', 'denied'],
  unavailable: ['red', 'gives no answer'],
  not_applicable: ['dim', 'not applicable'],
  subject_locked: ['red', 'locked out here'],
  busy: ['yellow', 'busy'],
  skipped: ['dim', 'skipped'],
  not_reached: ['dim', 'not reached'],
  not_looked: ['yellow', 'not looked'],
}

function formatStep(step: PresentedStep, number: number, paint: Paint): string[] {
  const [style, words] = SHOWN[step.outcome] ?? (['dim', step.outcome] as const)
  const detail = step.detail === undefined ? '' : `: ${visible(step.detail)}`
  const time = step.ms === undefined ? '' : `  ${paint('dim', `${step.ms} ms`)}`
  return [
    `${number} ${paint('bold', step.backend)} (${step.type})  ${paint(style, words)}${detail}${time}`,
    ...step.facts.map(({ what, value, ms }) =>
      row(visible(what), `${visible(value)}${ms === undefined ? '' : `  ${paint('dim', `${ms} ms`)}`}`),
    ),
    ...(step.user ? userLines(step.user) : []),
    ...(step.rule === undefined ? [] : [row('rule', visible(step.rule))]),
  ]
}

type ShownUser = NonNullable<PresentedExplanation['user']>

function userLines({ id, username, display_name, email, groups, roles }: ShownUser): string[] {
  const person = [username, display_name, email && `<${email}>`].filter(Boolean).join(', ')
  return [
    row('user', visible(`${id}  ${person}`)),
    row('groups', visible(groups.join(', ')) || '-'),
    row('roles', visible(roles.join(', ')) || '-'),
  ]
}

type ShownWarning = NonNullable<PresentedExplanation['warnings']>[number]

/** What the app is told beside the user. */
function warningInWords({ code, at, remaining }: ShownWarning): string {
  switch (code) {
    case 'password_expires':
      return `the password expires${at === undefined ? ' soon' : ` at ${visible(at)}`}`
    case 'grace_logins':
      return `the password has expired; logins left with it: ${remaining ?? 'not known'}`
    default:
      return visible(String(code))
  }
}

function row(label: string, value: string): string {
  return `  ${label.padEnd(14)}  ${value}`
}
