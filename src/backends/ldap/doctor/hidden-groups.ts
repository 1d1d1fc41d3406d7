import type { Finding } from '../../../plugin.ts'
import type { FoundGroups } from '../groups/group.ts'
import type { Person } from '../person/user.ts'
import { warn } from './finding.ts'
import type { PersonExamined } from './person.ts'
import { SearchRefused, type Session } from './session.ts'

/** Enough to see whether it is one group or all of them. */
const MOST_LOOKED_AT = 5

/**
 * Groups that the person's entry lists and the service account may not read: whatever they are in themselves is not found, so
 * that a group that is denied keeps out only its direct members.
 *
 * @throws {DirectoryFailure} if no answer came
 */
export async function* warnOfHidden(
  { session, settings }: Pick<PersonExamined, 'session' | 'settings'>,
  { user, member }: Person,
  { way }: FoundGroups,
): AsyncGenerator<Finding> {
  // There the list is all that counts, and what it names is not looked at.
  if (way === 'direct' || settings.groups.filter !== undefined) return
  const looked = member.listed.slice(0, MOST_LOOKED_AT)
  const hidden: string[] = []
  for (const dn of looked) if (!(await isReadable(session, dn))) hidden.push(dn)
  const [first] = hidden
  if (first === undefined) return
  const others = hidden.length > 1 ? ` and ${hidden.length - 1} more` : ''
  const { denied, required } = settings.options.groups
  const patterns = [denied.length > 0 ? 'denied' : [], required.length > 0 ? 'required' : []].flat()
  const rules =
    patterns.length === 0 ? '' : `, and \`groups.${patterns.join('` and `groups.')}\` see only direct members`
  const detail = `${settings.preset.groupsAttribute} of ${user.username} lists ${first}${others}, which the service account cannot read: groups that contain it are not found${rules}`
  yield warn(
    'nested groups',
    detail,
    `let the service account read groups and their ${settings.preset.memberAttributes.join(' and ')}`,
  )
}

async function isReadable(session: Session, dn: string): Promise<boolean> {
  try {
    return (await session.read(dn, ['1.1'])) !== undefined
  } catch (error) {
    // In another directory, perhaps: that is not about rights.
    if (error instanceof SearchRefused) return error.answer.code !== INSUFFICIENT_ACCESS_RIGHTS
    throw error
  }
}

const INSUFFICIENT_ACCESS_RIGHTS = 50
