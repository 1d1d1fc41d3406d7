import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { LdapOptions } from '../../../src/backends/ldap/options.ts'
import { type CertificateAuthority, createCertificateAuthority } from '../../support/certificate-authority.ts'
import { type LdapAttributes, searchDone, searchEntry } from '../../support/ldap-message.ts'
import {
  type LdapServer,
  type LdapServerConnection,
  type LdapServerOptions,
  type ReceivedRequest,
  startLdapServer,
} from '../../support/ldap-server.ts'
import type { TestScope } from '../../support/slapd.ts'
import { type Desk, ldapOptions, openDesk, tlsOptions } from './ldap-login.ts'

/** A scripted directory of two people's entries, and the backend in front of it. */

export const base = 'dc=corp,dc=example'
export const uuid = '7b14222a-7bbc-1041-92f6-dfaea8ca88bd'
export const service = {
  dn: `cn=gatehouse,ou=services,${base}`,
  password: 'gatehouse-secret-1',
  attributes: {},
}
export const alice = {
  dn: `uid=alice,${base}`,
  password: 'alice-secret-1',
  attributes: { uid: 'alice', entryUUID: uuid },
}
export const directory = [service, alice]

export type Script = (request: ReceivedRequest, connection: LdapServerConnection) => unknown

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-scripted-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
export const authority: CertificateAuthority = await createCertificateAuthority(folder)
export const certificate = await authority.issue()

/** What the script leaves alone is answered well. */
export async function stage(
  t: TestScope,
  script: Script,
  changes: Partial<LdapOptions> = {},
  serverChanges: Partial<LdapServerOptions> = {},
): Promise<{ server: LdapServer; desk: Desk }> {
  const server = await startLdapServer(t, { certificate, directory, onRequest: script, ...serverChanges })
  const desk = await openDesk(
    t,
    ldapOptions({
      urls: [server.url],
      insecure: true,
      connect_timeout: 300,
      operation_timeout: 300,
      ...changes,
    }),
  )
  return { server, desk }
}

export const starttls = { tls: tlsOptions({ ca_file: authority.caFile, starttls: true }), insecure: false }

export const isUserBind = ({ operation }: ReceivedRequest) =>
  operation.type === 'bind' && operation.dn === alice.dn

export const userBinds = (server: LdapServer) => server.requests.filter(isUserBind)

export const login = (desk: Desk, password = alice.password) => desk.login('alice', password)

export const behave: Script = (request, connection) => connection.behave(request)

/** Everything as it should be, but for the user's bind. */
export const onUserBind =
  (misbehave: Script): Script =>
  (request, connection) =>
    (isUserBind(request) ? misbehave : behave)(request, connection)

export const onSearch =
  (misbehave: Script): Script =>
  (request, connection) =>
    (request.operation.type === 'search' ? misbehave : behave)(request, connection)

/** Answers a search with this one entry, whatever was searched for. */
export function found(dn: string, attributes: LdapAttributes): Script {
  return (request, connection) =>
    connection.send(searchEntry(request.id, dn, attributes), searchDone(request.id))
}
