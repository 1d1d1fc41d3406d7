/** Apache httpd: one small file behind Basic authentication, asked of the directory by mod_authnz_ldap. */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { corpService } from '../../test/support/corp.ts'
import type { DebianProgram } from '../../test/support/debian.ts'
import type { Contender } from '../contender.ts'
import type { BenchDirectory } from '../directory.ts'
import { basicLogin } from './http.ts'
import { ldapUrl, provide, serve } from './serve.ts'

/** Searches and binds for each request. */
export const apache: Contender = contender({
  name: 'Apache mod_authnz_ldap, uncached',
  remark: 'httpd 2.4, event MPM, 2 × 128 threads, connections kept, no access log, no caches',
  caches: ['LDAPSharedCacheSize 0', 'LDAPCacheEntries 0', 'LDAPOpCacheEntries 0'],
})

/**
 * Asks the directory for each person and password once in ten minutes; what it says then is from its own memory. The first
 * time is slow, as room in its shared memory is searched for one after the other: 10,000 people take it six seconds.
 */
export const apacheCached: Contender = contender({
  name: 'Apache mod_authnz_ldap, its own cache on',
  remark: 'the same, but it keeps passwords that were right for ten minutes, and does not ask about them',
  caches: [
    'LDAPSharedCacheSize 33554432',
    'LDAPCacheEntries 32768',
    'LDAPCacheTTL 600',
    'LDAPOpCacheEntries 1024',
  ],
})

interface Variant {
  readonly name: string
  readonly remark: string
  /** Directives of mod_ldap. */
  readonly caches: readonly string[]
}

function contender({ name, remark, caches }: Variant): Contender {
  return {
    name,
    remark,
    async start(directory, folder) {
      const program = await provide({ name: 'apache2-bin', program: '/usr/sbin/apache2', probe: ['-v'] })
      // Its workers are not root, and have to get there.
      const documents = await mkdtemp(join(tmpdir(), 'gatehouse-bench-apache-'))
      await chmod(documents, 0o755)
      await writeFile(join(documents, 'private'), 'welcome\n')
      const file = join(folder, 'apache.conf')
      const running = await serve(directory, folder, async port => {
        await writeFile(file, configuration({ port, folder, documents, program, directory, caches }))
        return {
          protocol: 'http',
          address: `127.0.0.1:${port}`,
          request: (username, password) => basicLogin('/private', username, password),
          accepted: '200',
          refused: '401',
          command: [program.path, '-D', 'FOREGROUND', '-f', file],
          env: program.env,
        }
      }).catch(async error => {
        await rm(documents, { recursive: true, force: true })
        throw error
      })
      return {
        ...running,
        async stop() {
          await running.stop()
          await rm(documents, { recursive: true, force: true })
        },
      }
    },
  }
}

const MODULES = ['mpm_event', 'authn_core', 'authz_core', 'authz_user', 'auth_basic', 'ldap', 'authnz_ldap']

function configuration(options: {
  readonly port: number
  readonly folder: string
  readonly documents: string
  readonly program: DebianProgram
  readonly directory: BenchDirectory
  readonly caches: readonly string[]
}): string {
  const { port, folder, documents, program, directory, caches } = options
  const modules = `${program.root}/usr/lib/apache2/modules`
  return `
ServerRoot "${folder}"
ServerName localhost
Listen 127.0.0.1:${port}
PidFile "${folder}/apache.pid"
DefaultRuntimeDir "${folder}"
${MODULES.map(name => `LoadModule ${name}_module "${modules}/mod_${name}.so"`).join('\n')}
<IfModule unixd_module>
  User nobody
  Group #65534
</IfModule>
# A wrong password is a line of its own at any level below.
ErrorLog /dev/stderr
LogLevel crit
Mutex pthread
# Where all threads of a process are busy it ends connections that are kept, and one may get all that come: 128 each.
StartServers 2
ServerLimit 2
ThreadLimit 128
ThreadsPerChild 128
MaxRequestWorkers 256
# Both processes stay, however idle.
MinSpareThreads 1
MaxSpareThreads 256
MaxConnectionsPerChild 0
KeepAlive On
KeepAliveTimeout 60
MaxKeepAliveRequests 0
${caches.join('\n')}
DocumentRoot "${documents}"
<Directory "${documents}">
  AllowOverride None
  AuthType Basic
  AuthName corp
  AuthBasicProvider ldap
  AuthLDAPURL "${ldapUrl(directory)}/${directory.slapd.baseDn}?uid?sub?(objectClass=inetOrgPerson)"
  AuthLDAPBindDN "${corpService.dn}"
  AuthLDAPBindPassword "${corpService.password}"
  Require valid-user
</Directory>
`
}
