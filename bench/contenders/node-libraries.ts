/** Libraries of npm for logins by LDAP, each behind a bare Fastify route in a Node process of its own. */
import { fileURLToPath } from 'node:url'
import { corpService } from '../../test/support/corp.ts'
import type { Contender } from '../contender.ts'
import { jsonLogin } from './http.ts'
import type { NodeServerOptions } from './node-server.ts'
import { ldapUrl, serve } from './serve.ts'

const SERVER = fileURLToPath(new URL('node-server.ts', import.meta.url))

export const ldapauthFork: Contender = contender(
  'ldapauth-fork',
  '6.1 on Fastify, one process, connections kept, without its cache of passwords',
)

export const ldapAuthentication: Contender = contender(
  'ldap-authentication',
  '4.0 on Fastify, one process; it makes new connections for each login, and leaves both open when the password is wrong',
)

function contender(library: NodeServerOptions['library'], remark: string): Contender {
  return {
    name: `Fastify + ${library}`,
    remark,
    start: (directory, folder) =>
      serve(directory, folder, async port => {
        const options: NodeServerOptions = {
          library,
          port,
          url: ldapUrl(directory),
          base: directory.slapd.baseDn,
          bindDn: corpService.dn,
          bindPassword: corpService.password,
        }
        return {
          protocol: 'http',
          address: `127.0.0.1:${port}`,
          request: jsonLogin,
          accepted: '200',
          refused: '401',
          command: [process.execPath, SERVER, JSON.stringify(options)],
          env: { NODE_ENV: 'production' },
        }
      }),
  }
}
