import { equals } from '../syntax/filter.ts'
import { formatSid } from '../syntax/sid.ts'
import { isSameDn } from './base.ts'
import type { RootDse } from './root-dse.ts'
import type { Session } from './session.ts'

/**
 * Whether an entry is the service account's own, which is nobody who logs in.
 *
 * @throws {DirectoryFailure} if no answer came
 */
export type IsOwn = (dn: string) => Promise<boolean>

/**
 * @param bindDn as `bind.dn` has it: a DN, or in Active Directory also `svc@corp.example` or `CORP\svc`; undefined where the
 *   account is known by other means
 */
export function createIsOwn(
  session: Session,
  bindDn: string | undefined,
  rootDse: RootDse | undefined,
): IsOwn {
  const ownSids = new Set(rootDse?.ownSids)
  const known = new Map<string, boolean>()

  async function find(dn: string): Promise<boolean> {
    if (bindDn !== undefined && isSameDn(dn, bindDn)) return true
    if (ownSids.size > 0) {
      const sid = (await session.read(dn, ['objectSid']))?.octets('objectSid')
      // Its groups are among them, too, but no group is a person.
      return sid !== undefined && ownSids.has(formatSid(sid) ?? '')
    }
    if (!bindDn?.includes('@')) return false
    return (await session.read(dn, ['1.1'], equals('userPrincipalName', bindDn))) !== undefined
  }

  return async dn => {
    const own = known.get(dn) ?? (await find(dn))
    known.set(dn, own)
    return own
  }
}
