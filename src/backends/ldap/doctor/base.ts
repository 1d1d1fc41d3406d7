/** Is there what `base_dn` or `groups.base_dn` names, and if not, how much of it is there? */
import type { Finding } from '../../../plugin.ts'
import { canonicalDn, isUnder, parseDn } from '../syntax/dn.ts'
import { anything } from '../syntax/filter.ts'
import type { ServiceIdentity } from '../wire/connection.ts'
import { nameResult, SUCCESS } from '../wire/result.ts'
import { fail, ok } from './finding.ts'
import { explainRefusal, GIVE_ACCOUNT } from './refusal.ts'
import type { RootDse } from './root-dse.ts'
import type { Session } from './session.ts'

const REFERRAL = 10
const NO_SUCH_OBJECT = 32
/** Deeper than any tree. */
const MOST_PARENTS = 50

export interface BaseExamined {
  readonly session: Session
  readonly option: 'base_dn' | 'groups.base_dn'
  readonly base: string
  readonly rootDse: RootDse | undefined
  readonly method: ServiceIdentity['method']
}

/**
 * @returns whether it is there
 * @throws {DirectoryFailure} if no answer came
 */
export async function* examineBase(about: BaseExamined): AsyncGenerator<Finding, boolean> {
  const { session, option, base, rootDse, method } = about
  const check = `${option} ${base}`
  const answer = await session.search({
    base,
    scope: 'base',
    filter: anything(),
    attributes: ['1.1'],
    sizeLimit: 1,
  })
  if (answer.code === SUCCESS && answer.entries.length > 0) {
    yield ok(check, 'it exists and can be read')
    return true
  }
  const contexts = rootDse?.namingContexts ?? []
  const known = contexts.length > 0 ? `; this directory has ${contexts.join(' and ')}` : ''
  const holding = contexts.find(context => isBelow(base, context))
  if (answer.code === REFERRAL || (contexts.length > 0 && holding === undefined)) {
    const proposed =
      option === 'base_dn' ? (rootDse?.defaultContext ?? contexts.find(mayHavePeople)) : undefined
    const advice = proposed === undefined ? `correct \`${option}\`` : `set \`base_dn: ${proposed}\``
    yield fail(check, `it is not of this directory (${nameResult(answer)})${known}`, advice)
    return false
  }
  if (answer.code !== SUCCESS && answer.code !== NO_SUCH_OBJECT) {
    const { reason, advice } = explainRefusal(answer, method)
    yield fail(check, reason, advice ?? `correct \`${option}\`, or let the service account read it`)
    return false
  }
  const ancestor = await nearestAncestor(session, base)
  if (ancestor !== undefined) {
    yield fail(
      check,
      `there is no such entry; the nearest that exists above it is ${ancestor}`,
      `correct \`${option}\`: the part before "${ancestor}" is wrong; \`${option}: ${ancestor}\` would search everything there`,
    )
    return false
  }
  yield holding === undefined
    ? fail(
        check,
        `it does not exist, or ${whoever(method)} may not see it (${nameResult(answer)})`,
        `correct \`${option}\`, or ${letRead(method, 'it')}`,
      )
    : unreadable(about, holding)
  return false
}

/** The directory has the context for sure: it says so itself. */
function unreadable({ option, base, method }: BaseExamined, context: string): Finding {
  const check = `${option} ${base}`
  return isBelow(context, base)
    ? fail(
        check,
        `it exists, but ${whoever(method)} may not read it`,
        letRead(method, 'it, and what is below'),
      )
    : fail(
        check,
        `nothing is to be seen, not even ${context}, which exists: ${whoever(method)} may not read it`,
        letRead(method, `${context} and what is below`),
      )
}

function whoever(method: ServiceIdentity['method']): string {
  return method === 'anonymous' ? 'whoever is anonymous' : 'the service account'
}

function letRead(method: ServiceIdentity['method'], what: string): string {
  return method === 'anonymous' ? GIVE_ACCOUNT : `let the service account read ${what}`
}

async function nearestAncestor(session: Session, dn: string): Promise<string | undefined> {
  for (const parent of parentsOf(dn).slice(0, MOST_PARENTS)) {
    if ((await session.read(parent, ['1.1'])) !== undefined) return parent
  }
  return undefined
}

/** Naming contexts in which servers keep what is about themselves. */
const OF_THE_SERVER =
  /^(cn=(config|configuration|monitor|schema|changelog|accesslog)|o=(ipaca|netscaperoot)|dc=(domain|forest)dnszones)\b/i

export function mayHavePeople(context: string): boolean {
  return context !== '' && !OF_THE_SERVER.test(context)
}

/** Each DN above this one, the nearest first, as they are spelled in it. */
export function parentsOf(dn: string): readonly string[] {
  // A comma that is escaped is part of a value; a backslash escapes what follows it.
  const commas = [...dn.matchAll(/\\.|,/gs)].flatMap(match => (match[0] === ',' ? [match.index] : []))
  return commas.map(comma => dn.slice(comma + 1).trimStart())
}

/** The same entry, however it is spelled. */
export function isSameDn(one: string, other: string): boolean {
  const [first, second] = [parseDn(one), parseDn(other)]
  return first !== undefined && second !== undefined && canonicalDn(first) === canonicalDn(second)
}

function isBelow(dn: string, context: string): boolean {
  // What cannot be read is not held against anybody; everything is below the empty DN.
  if (context === '' || !parseDn(dn) || !parseDn(context)) return true
  return isUnder(dn, context)
}
