import type { Finding } from '../../../plugin.ts'
import type { Settings } from '../settings.ts'
import type { DirectoryEntry } from '../syntax/entry.ts'
import { allOf } from '../syntax/filter.ts'
import { has } from './filter-parts.ts'
import { warn } from './finding.ts'
import { quietly } from './quietly.ts'
import type { Session } from './session.ts'

/**
 * Further attributes that apps are to get, and that nobody has: misspelled, or not to be read.
 *
 * @param entry of somebody, with these attributes
 * @throws what is no failure of the directory: a bug
 */
export async function* examineAttributes(
  { session, settings }: { readonly session: Session; readonly settings: Settings },
  entry: DirectoryEntry,
): AsyncGenerator<Finding> {
  const { options, userFilter } = settings
  for (const [ours, theirs] of Object.entries(options.attributes)) {
    if (entry.texts(theirs).length > 0) continue
    const check = `attributes.${ours}`
    const filter = allOf(userFilter.forAnyone(), has(theirs))
    const entries = await quietly(session.find(options.base_dn, filter, [theirs]))
    if (entries === undefined || entries.some(each => each.texts(theirs).length > 0)) continue
    yield (entries[0] ?? entry).octets(theirs) !== undefined
      ? warn(
          check,
          `${theirs} is binary, and apps are told text only`,
          `take another attribute than ${theirs}`,
        )
      : warn(
          check,
          `nobody has ${theirs} that the service account can read`,
          `correct \`attributes.${ours}\`, or let the service account read ${theirs}`,
        )
  }
}
