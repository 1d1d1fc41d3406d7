import { randomUUID } from 'node:crypto'
import { type CertificateAuthority, createCertificateAuthority } from '../support/certificate-authority.ts'
import { corpPeople, corpService } from '../support/corp.ts'
import {
  type LdapServer,
  type LdapServerConnection,
  type LdapServerOptions,
  type ReceivedRequest,
  startLdapServer,
} from '../support/ldap-server.ts'
import type { TestScope } from '../support/slapd.ts'
import { newFolder, openScene, type Scene, type SceneOptions } from './harness.ts'

/** The daemon in front of a directory that behaves until it is told otherwise. */

export type Script = (request: ReceivedRequest, connection: LdapServerConnection) => unknown

export const behave: Script = (request, connection) => connection.behave(request)

/** The people of corp.ldif, in fewer words. */
export const directory = [
  { dn: corpService.dn, password: corpService.password, attributes: {} },
  ...Object.values(corpPeople).map(({ uid, dn, password }) => ({
    dn,
    password,
    attributes: { uid, entryUUID: randomUUID() },
  })),
]

export const isBindAs =
  (dn: string) =>
  ({ operation }: ReceivedRequest): boolean =>
    operation.type === 'bind' && operation.dn === dn

/** Everything as it should be, but for binds of people. */
export const onUserBind =
  (misbehave: Script): Script =>
  (request, connection) => {
    const { operation } = request
    const theirs = operation.type === 'bind' && operation.dn !== corpService.dn
    return (theirs ? misbehave : behave)(request, connection)
  }

export const onSearch =
  (misbehave: Script): Script =>
  (request, connection) =>
    (request.operation.type === 'search' ? misbehave : behave)(request, connection)

let authority: Promise<CertificateAuthority> | undefined

export function testAuthority(): Promise<CertificateAuthority> {
  authority ??= createCertificateAuthority(newFolder())
  return authority
}

export interface ScriptedScene {
  readonly scene: Scene
  readonly server: LdapServer
  /** From now on the directory does this; without a script it behaves again. */
  misbehave(script?: Script): void
}

export async function openScriptedScene(
  t: TestScope,
  options: Partial<SceneOptions> = {},
  serverOptions: Partial<LdapServerOptions> = {},
): Promise<ScriptedScene> {
  let script = behave
  const server = await startLdapServer(t, {
    directory,
    onRequest: (request, connection) => script(request, connection),
    ...serverOptions,
  })
  const scene = await openScene(t, {
    ...options,
    corp: { urls: [server.url], insecure: !server.url.startsWith('ldaps'), ...options.corp },
  })
  return {
    scene,
    server,
    misbehave(next = behave) {
      script = next
    },
  }
}
