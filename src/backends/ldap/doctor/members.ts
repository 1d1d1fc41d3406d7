import type { NamedGroup } from '../groups/group.ts'
import { requestedAttributes } from '../person/user.ts'
import type { Settings } from '../settings.ts'
import { isUnder } from '../syntax/dn.ts'
import type { DirectoryEntry } from '../syntax/entry.ts'
import { allOf, equals } from '../syntax/filter.ts'
import { formatSid } from '../syntax/sid.ts'
import type { IsOwn } from './own-account.ts'
import { SearchRefused, type Session } from './session.ts'

/** Groups within groups that are looked into, and members of each that are looked at. */
const MOST_GROUPS = 20
const MOST_MEMBERS = 20

/** Lists login names, where groups are as in Unix (RFC 2307 section 4). */
const NAMES_ATTRIBUTE = 'memberUid'

/**
 * Somebody who is in one of these groups, or in one within them, and whom the filter finds.
 *
 * @returns their entry as a login would read it; undefined if nobody is to be found in the first few
 * @throws {DirectoryFailure} if no answer came
 */
export async function findMember(
  session: Session,
  settings: Settings,
  groups: readonly NamedGroup[],
  isOwn: IsOwn,
): Promise<DirectoryEntry | undefined> {
  const { userFilter, preset, options } = settings
  const { memberAttributes } = preset
  const attributes = requestedAttributes(settings)
  const queue = groups.map(({ dn }) => dn)
  const seen = new Set(queue)
  for (let turn = 0; turn < MOST_GROUPS; turn++) {
    const group = queue.shift()
    if (group === undefined) return undefined
    const entry = await readQuietly(session, group, [...memberAttributes, NAMES_ATTRIBUTE, 'objectSid'])
    const dns = memberAttributes.flatMap(attribute => valuesOf(entry, attribute)).slice(0, MOST_MEMBERS)
    for (const dn of dns) {
      const inReach = isUnder(dn, options.base_dn)
      const person = inReach ? await readQuietly(session, dn, attributes, userFilter.forAnyone()) : undefined
      if (person && !(await isOwn(person.dn))) return person
      if (!person && !seen.has(dn)) queue.push(dn)
      seen.add(dn)
    }
    const byName = valuesOf(entry, NAMES_ATTRIBUTE).slice(0, MOST_MEMBERS)
    const filters = byName.flatMap(
      name => userFilter.forUser({ username: name, input: name })[0]?.filter ?? [],
    )
    const primary = relativeId(entry)
    if (primary !== undefined) filters.push(allOf(userFilter.forAnyone(), equals('primaryGroupID', primary)))
    for (const filter of filters) {
      const [person] = (await session.ask(options.base_dn, filter, attributes, 1)).entries
      if (person && !(await isOwn(person.dn))) return person
    }
  }
  return undefined
}

/** By it Active Directory's people name their primary group, which does not list them. */
function relativeId(group: DirectoryEntry | undefined): string | undefined {
  const sid = group?.octets('objectSid')
  return sid && formatSid(sid)?.split('-').at(-1)
}

/** A list that the directory cuts short stands under another name, and its start will do. */
function valuesOf(entry: DirectoryEntry | undefined, attribute: string): readonly string[] {
  return entry?.texts(entry.range(attribute)?.attribute ?? attribute) ?? []
}

/** What lies in another directory, or may not be read, is no member that could be shown. */
async function readQuietly(...[session, ...what]: [Session, ...Parameters<Session['read']>]) {
  try {
    return await session.read(...what)
  } catch (error) {
    if (error instanceof SearchRefused) return undefined
    throw error
  }
}
