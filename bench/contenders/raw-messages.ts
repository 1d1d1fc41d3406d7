/** The two questions of a login as they stand on the wire, written by ldapts: what the daemon asks, and no more. */
import { BindRequest, FilterParser, SearchRequest } from 'ldapts'
import { corpBaseDn } from '../../test/support/corp.ts'

/** What the preset `openldap` asks for. */
const ATTRIBUTES = [
  'entryUUID',
  'uid',
  'displayName',
  'cn',
  'mail',
  'memberOf',
  'pwdAccountLockedTime',
  'pwdReset',
]

export function bindRequest(messageId: number, dn: string, password: string): Buffer {
  return written(new BindRequest({ messageId, dn, password }))
}

export function personSearch(messageId: number, uid: string): Buffer {
  return written(
    new SearchRequest({
      messageId,
      baseDN: corpBaseDn,
      scope: 'sub',
      filter: FilterParser.parseString(`(&(objectClass=inetOrgPerson)(|(uid=${uid})))`),
      attributes: ATTRIBUTES,
      sizeLimit: 2,
      timeLimit: 4,
    }),
  )
}

function written(message: { write(): Buffer }): Buffer {
  return message.write()
}
