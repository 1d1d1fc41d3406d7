import type { Finding } from '../../../plugin.ts'
import type { Settings } from '../settings.ts'
import type { DirectoryEntry } from '../syntax/entry.ts'
import { allOf } from '../syntax/filter.ts'
import { has } from './filter-parts.ts'
import { warn } from './finding.ts'
import { SearchRefused, type Session } from './session.ts'

/**
 * Further attributes that apps are to get, and that nobody has: misspelled, or not to be read.
 *
 * @param entry of somebody, with these attributes
 * @throws {DirectoryFailure} if no answer came
 */
export async function* examineAttributes(
  { session, settings }: { readonly session: Session; readonly settings: Settings },
  entry: DirectoryEntry,
): AsyncGenerator<Finding> {
  const { options, userFilter } = settings
  for (const [ours, theirs] of Object.entries(options.attributes)) {
    if (entry.texts(theirs).length > 0) continue
    const check = `attributes.${ours}`
    const found = await someoneWith(
      session,
      options.base_dn,
      allOf(userFilter.forAnyone(), has(theirs)),
      theirs,
    )
    if (found === 'unknown' || found?.texts(theirs).length) continue
    yield (found ?? entry).octets(theirs) !== undefined
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

/** @returns `unknown` where the directory does not want to look through everybody */
async function someoneWith(
  session: Session,
  base: string,
  filter: Parameters<Session['find']>[1],
  attribute: string,
): Promise<DirectoryEntry | 'unknown' | undefined> {
  try {
    const entries = await session.find(base, filter, [attribute])
    return entries.find(entry => entry.texts(attribute).length > 0) ?? entries[0]
  } catch (error) {
    if (error instanceof SearchRefused) return 'unknown'
    throw error
  }
}
