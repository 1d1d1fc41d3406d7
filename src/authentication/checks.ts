/** What the operator expects of a configuration: people whom a backend must find, or must not (config.md, `checks`). */
import { stateInWords } from './account-state.ts'
import type { Look } from './backend.ts'
import type { Link } from './chain.ts'
import type { Log } from './log.ts'
import { lookAt, type Sighting } from './look.ts'
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

export interface CheckParts {
  readonly links: readonly Link[]
  readonly normalise: NormaliseUsername
  readonly log: Pick<Log, 'error'>
}

/** Looks for everybody at once, without any password. Never rejects. */
export function runChecks(checks: readonly Check[], parts: CheckParts): Promise<CheckResult[]> {
  return Promise.all(
    checks.map(async check => {
      const { result, reason } = await run(check, parts)
      return { check, result, reason: reason && `${check.user} at ${check.backend}: ${reason}` }
    }),
  )
}

type Said = Omit<CheckResult, 'check'>

async function run(check: Check, { links, normalise, log }: CheckParts): Promise<Said> {
  const link = links.find(({ backend }) => backend.id === check.backend)
  if (link === undefined) return { result: 'failed', reason: 'there is no such backend' }
  const name = normalise(check.user)
  if (!name.ok) return { result: 'failed', reason: `the name ${name.problem}` }
  const { username } = name
  if (!link.usernameFilter(username.text)) {
    return judge(check, link, { found: 'not_applicable', reason: 'its username_filter leaves this name out' })
  }
  const request = { username, timeoutMs: link.timeoutMs, note() {}, log }
  return judge(check, link, await lookAt(link, request))
}

function judge({ expect }: Check, { deny }: Link, sighting: Sighting): Said {
  if (sighting.found === 'not_looked') {
    return { result: 'failed', reason: 'this backend can say nothing without a password' }
  }
  if (sighting.found === 'unavailable') return { result: 'unknown', reason: sighting.reason }
  const obstacle = deny && sighting.found === 'one' ? 'on a deny list' : whyNot(sighting)
  if (!expect.found) {
    return obstacle === undefined
      ? { result: 'failed', reason: 'found, and should not be' }
      : { result: 'passed', reason: '' }
  }
  if (obstacle !== undefined || sighting.found !== 'one') return { result: 'failed', reason: obstacle ?? '' }
  const { groups, roles } = sighting.user
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
      if (look.state !== undefined) return stateInWords(look.state)
      return look.refusal
    case 'none':
      return 'not found'
    case 'several':
      return `${look.count} principals match`
    case 'not_applicable':
      return look.reason
  }
}
