/** Is there what `base_dn` names, and if not, how much of it is there? */
import type { Finding } from '../../../plugin.ts'
import { canonicalDn, parseDn } from '../syntax/dn.ts'
import { anything } from '../syntax/filter.ts'
import { describe, SUCCESS } from '../wire/result.ts'
import { fail, ok } from './finding.ts'
import type { RootDse } from './root-dse.ts'
import type { Session } from './session.ts'

const REFERRAL = 10
/** Deeper than any tree. */
const MOST_PARENTS = 50

/**
 * @returns whether it is there
 * @throws {DirectoryFailure} if no answer came
 */
export async function* examineBase(
  session: Session,
  base: string,
  rootDse: RootDse | undefined,
): AsyncGenerator<Finding, boolean> {
  const check = `base_dn ${base}`
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
  if (
    answer.code === REFERRAL ||
    (contexts.length > 0 && !contexts.some(context => isBelow(base, context)))
  ) {
    const proposed = rootDse?.defaultContext ?? contexts[0]
    const advice = proposed === undefined ? 'correct `base_dn`' : `set \`base_dn: ${proposed}\``
    yield fail(check, `it is not of this directory (${describe(answer)})${known}`, advice)
    return false
  }
  const ancestor = await nearestAncestor(session, base)
  if (ancestor === undefined) {
    const advice = 'correct `base_dn`, or let the service account read it'
    yield fail(
      check,
      `it does not exist, or the service account may not see it (${describe(answer)})${known}`,
      advice,
    )
    return false
  }
  yield fail(
    check,
    `there is no such entry; the nearest that exists above it is ${ancestor}`,
    `correct \`base_dn\`: the part before "${ancestor}" is wrong; \`base_dn: ${ancestor}\` would search everything there`,
  )
  return false
}

async function nearestAncestor(session: Session, dn: string): Promise<string | undefined> {
  for (const parent of parentsOf(dn).slice(0, MOST_PARENTS)) {
    if ((await session.read(parent, ['1.1'])) !== undefined) return parent
  }
  return undefined
}

/** Each DN above this one, the nearest first, as they are spelled in it. */
export function parentsOf(dn: string): readonly string[] {
  // A comma that is escaped is part of a value; a backslash escapes what follows it.
  const commas = [...dn.matchAll(/\\.|,/gs)].flatMap(match => (match[0] === ',' ? [match.index] : []))
  return commas.map(comma => dn.slice(comma + 1).trimStart())
}

function isBelow(dn: string, context: string): boolean {
  const [inner, outer] = [parseDn(dn), parseDn(context)]
  // What cannot be read is not held against anybody.
  if (!inner || !outer) return true
  return canonicalDn(inner.slice(-outer.length)) === canonicalDn(outer)
}
