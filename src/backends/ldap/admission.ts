import type { Log } from '../../plugin.ts'
import type { GroupFinder } from './groups/finder.ts'
import type { FoundGroups } from './groups/group.ts'
import { type Admission, admit, type Person } from './person/user.ts'
import type { Settings } from './settings.ts'
import { DirectoryFailure } from './wire/failure.ts'

/** A person with their groups, and whether the configuration lets them in. */
export interface Admitted extends Admission {
  /** Undefined where the groups could not be read and the configuration goes on without. */
  readonly found: FoundGroups | undefined
}

/**
 * Finds a person's groups and applies `groups` to them.
 *
 * @throws {DirectoryFailure} unless `groups.when_unreadable` is `omit`
 */
export type Admissions = (person: Person, signal: AbortSignal, log: Log) => Promise<Admitted>

export function createAdmissions(settings: Settings, finder: GroupFinder): Admissions {
  const { when_unreadable } = settings.options.groups
  return async ({ dn, user, member }, signal, log) => {
    try {
      const found = await finder.find(member, signal)
      return { ...admit(user, found.groups, settings), found }
    } catch (error) {
      if (!(error instanceof DirectoryFailure) || when_unreadable === 'refuse') throw error
      log.warn({ dn, reason: error.message }, 'the groups cannot be read: without groups and roles')
      // Nobody is required or denied then: `check` sees to it.
      return { ...admit(user, [], settings), found: undefined }
    }
  }
}
