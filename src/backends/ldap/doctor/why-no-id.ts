/** A person is found, and who they are cannot be said. */
import type { Finding } from '../../../plugin.ts'
import type { Settings } from '../settings.ts'
import { type DirectoryEntry, isGuid, readId } from '../syntax/entry.ts'
import { betterAbout } from './better-preset.ts'
import { fail } from './finding.ts'
import { same } from './people.ts'
import type { RootDse } from './root-dse.ts'
import type { Session } from './session.ts'

/** Where directories keep what never changes, as text or as Active Directory has it. */
const ID_ATTRIBUTES = ['objectGUID', 'entryUUID', 'nsUniqueId', 'ipaUniqueID', 'ibm-entryUuid']

/** @throws {DirectoryFailure} if no answer came */
export async function whyNoId(
  session: Session,
  { idAttribute, preset, options }: Settings,
  rootDse: RootDse | undefined,
  { dn }: DirectoryEntry,
): Promise<Finding> {
  const entry = await session.read(dn, [...ID_ATTRIBUTES, idAttribute])
  if (entry && readId(entry, idAttribute) !== undefined) {
    const { groupsAttribute } = preset
    const better = betterAbout('groupsAttribute', options, rootDse)
    const advice = better
      ? `set \`preset: ${better}\``
      : `groups have to be DNs in ${groupsAttribute}: is \`preset\` the right one?`
    return fail(`person ${dn}`, `a value of ${groupsAttribute} is no DN`, advice)
  }
  const instead = ID_ATTRIBUTES.find(
    attribute => !same(attribute, idAttribute) && entry && readId(entry, attribute) !== undefined,
  )
  const better = options.id_attribute === undefined ? betterAbout('idAttribute', options, rootDse) : undefined
  if (better !== undefined) {
    const detail = `${dn} shows no ${idAttribute}, in which \`preset: ${options.preset}\` looks for the id`
    return fail('preset', detail, `set \`preset: ${better}\``)
  }
  const another =
    instead === undefined
      ? 'name in `id_attribute` one that has one value, in text, which never changes'
      : `set \`id_attribute: ${instead}\``
  const check = `id_attribute ${idAttribute}`
  const values = entry?.allOctets(idAttribute) ?? []
  if (values.length > 1) {
    const detail = `${dn} has ${values.length} values of it, and an id is one`
    return fail(check, detail, another)
  }
  if (values.length > 0 && !isGuid(idAttribute)) {
    const detail = `${idAttribute} is binary, and an id has to be text`
    return fail(check, detail, another)
  }
  const advice =
    instead === undefined
      ? `let the service account read ${idAttribute}`
      : `set \`id_attribute: ${instead}\`, which is there; or let the service account read ${idAttribute}`
  return fail(check, `${dn} shows no ${idAttribute}, which goes into every user id`, advice)
}
