/** What the operator expects of a configuration: people whom a backend must find, or must not (config.md, `checks`). */
import type { Look } from './backend.ts'
import type { Link } from './chain.ts'
import { TIMED_OUT, withDeadline } from './deadline.ts'
import { UnavailableError } from './outcome.ts'
import type { NormaliseUsername } from './username.ts'

export interface Check {
  /** As somebody would type it. */
  readonly user: string
  /** Id of the backend that is asked. */
  readonly backend: string
  readonly expect: {
    /** May this person log in there, given the right password? */
    readonly found: boolean
    /** All of these, as apps are told them. */
    readonly groups: readonly string[]
    readonly roles: readonly string[]
  }
}

export interface CheckResult {
  readonly check: Check
  /** `unknown`: the backend could not say. */
  readonly result: 'passed' | 'failed' | 'unknown'
  /** In words for operators; empty if it passed. */
  readonly reason: string
}

/** Looks for everybody at once, without any password. Never rejects. */
export function runChecks(
  checks: readonly Check[],
  about: { readonly links: readonly Link[]; readonly normalise: NormaliseUsername },
): Promise<CheckResult[]> {
  return Promise.all(
    checks.map(async check => {
      const { result, reason } = await run(check, about)
      return { check, result, reason: reason && `${check.user} at ${check.backend}: ${reason}` }
    }),
  )
}

type Said = Omit<CheckResult, 'check'>

async function run(check: Check, { links, normalise }: Parameters<typeof runChecks>[1]): Promise<Said> {
  const link = links.find(({ backend }) => backend.id === check.backend)
  if (link === undefined) return { result: 'failed', reason: 'there is no such backend' }
  const { backend, timeoutMs, usernameFilter } = link
  const name = normalise(check.user)
  if (!name.ok) return { result: 'failed', reason: `the name ${name.problem}` }
  if (!usernameFilter(name.username.text)) {
    return judge(check, { found: 'not_applicable', reason: 'its username_filter leaves this name out' })
  }
  if (backend.look === undefined) {
    return { result: 'failed', reason: 'this backend can say nothing without a password' }
  }
  try {
    const look = await withDeadline(timeoutMs, async signal =>
      backend.look?.(name.username, signal, () => {}),
    )
    if (look === TIMED_OUT) return { result: 'unknown', reason: `no answer within ${timeoutMs} ms` }
    return look === undefined
      ? { result: 'unknown', reason: 'the backend gave no answer' }
      : judge(check, look)
  } catch (error) {
    const reason = error instanceof Error ? error.message : 'the backend threw'
    return { result: error instanceof UnavailableError ? 'unknown' : 'failed', reason }
  }
}

function judge({ expect }: Check, look: Look): Said {
  const obstacle = whyNot(look)
  if (!expect.found) {
    return obstacle === undefined
      ? { result: 'failed', reason: 'found, and should not be' }
      : { result: 'passed', reason: '' }
  }
  if (obstacle !== undefined || look.found !== 'one') return { result: 'failed', reason: obstacle ?? '' }
  const { groups, roles } = look.user
  const missing = [
    ...expect.groups.filter(group => !groups.includes(group)).map(group => `not in the group ${group}`),
    ...expect.roles.filter(role => !roles.includes(role)).map(role => `without the role ${role}`),
  ]
  return missing.length === 0
    ? { result: 'passed', reason: '' }
    : { result: 'failed', reason: missing.join(', ') }
}

/** What keeps this person from logging in there. */
function whyNot(look: Look): string | undefined {
  switch (look.found) {
    case 'one':
      if (look.state !== undefined) return `the account is ${look.state}`
      return look.refusal
    case 'none':
      return 'not found'
    case 'several':
      return `${look.count} principals match`
    case 'not_applicable':
      return look.reason
  }
}
