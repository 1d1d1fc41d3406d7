/** May the service account do more than it needs (security.md S19)? Nothing is written to find out. */
import type { Finding } from '../../../plugin.ts'
import { ok, warn } from './finding.ts'
import type { RootDse } from './root-dse.ts'
import type { Session } from './session.ts'

/** Well-known relative ids ([MS-DTYP] section 2.4.2.4). */
const POWERFUL: readonly (readonly [RegExp, string])[] = [
  [/^S-1-5-21-.*-512$/, 'Domain Admins'],
  [/^S-1-5-21-.*-518$/, 'Schema Admins'],
  [/^S-1-5-21-.*-519$/, 'Enterprise Admins'],
  [/^S-1-5-32-544$/, 'Administrators'],
  [/^S-1-5-32-548$/, 'Account Operators'],
]

/**
 * @param someone an entry that is not the service account's own
 * @throws {DirectoryFailure} if no answer came
 */
export async function* examineServiceRights(
  session: Session,
  { ownSids }: RootDse,
  someone: string | undefined,
): AsyncGenerator<Finding> {
  const check = 'rights of the service account'
  const powers = POWERFUL.flatMap(([pattern, name]) => (ownSids.some(sid => pattern.test(sid)) ? [name] : []))
  if (powers.length > 0) {
    const detail = `it is in ${powers.join(' and ')}`
    yield warn(check, detail, 'take an ordinary user: whoever gets hold of its password here owns the domain')
    return
  }
  // What this connection may write of that entry ([MS-ADTS] section 3.1.1.4.5.20).
  const entry =
    someone === undefined ? undefined : await session.read(someone, ['allowedAttributesEffective'])
  const writable = entry?.texts('allowedAttributesEffective') ?? []
  if (writable.length > 0) {
    const shown = writable.slice(0, 5).join(', ')
    const detail = `it may write ${writable.length} attributes of ${someone} (${shown}${writable.length > 5 ? ', …' : ''})`
    yield warn(check, detail, 'take the right to write away: reading is enough')
    return
  }
  const known = [
    ...(ownSids.length > 0 ? ['in no group of administrators'] : []),
    ...(entry ? [`may write nothing of ${someone}`] : []),
  ]
  if (known.length > 0) yield ok(check, known.join(', '))
}
