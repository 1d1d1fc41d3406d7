/** Dovecot's auth service alone, on its socket for clients, as mail servers ask it: passdb ldap with `auth_bind`. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { corpService } from '../../test/support/corp.ts'
import type { Contender } from '../contender.ts'
import type { BenchDirectory } from '../directory.ts'
import { ldapUrl, provide, serve } from './serve.ts'

export const dovecot: Contender = {
  name: 'Dovecot passdb ldap',
  remark:
    '2.3, auth_bind over one connection, no cache; it keeps a failure for half a second, even with auth_failure_delay = 0',
  async start(directory, folder) {
    const program = await provide({
      name: 'dovecot-core',
      program: '/usr/sbin/dovecot',
      also: ['dovecot-ldap'],
      probe: ['--version'],
      overlay: true,
    })
    const file = join(folder, 'dovecot.conf')
    return serve(directory, folder, async () => {
      await writeFile(join(folder, 'ldap.conf'), ldapConfiguration(directory))
      await writeFile(file, configuration(folder))
      return {
        protocol: 'line',
        address: join(folder, 'run/auth-bench'),
        request: authRequest,
        accepted: 'OK',
        refused: 'FAIL',
        command: [...program.prefix, program.path, '-F', '-c', file],
        env: program.env,
      }
    })
  },
}

/** An id may come again once its request was answered, and a connection has one request at a time: so all are the first. */
function authRequest(username: string, password: string): Buffer {
  const response = Buffer.from(`\0${username}\0${password}`).toString('base64')
  return Buffer.from(`AUTH\t1\tPLAIN\tservice=bench\tresp=${response}\n`)
}

function ldapConfiguration(directory: BenchDirectory): string {
  return `
uris = ${ldapUrl(directory)}
dn = ${corpService.dn}
dnpass = ${corpService.password}
base = ${directory.slapd.baseDn}
scope = subtree
auth_bind = yes
pass_attrs = uid=user
pass_filter = (&(objectClass=inetOrgPerson)(uid=%u))
# Over its one connection it is as quick as sixteen workers with one each, for less than half of their CPU.
blocking = no
`
}

function configuration(folder: string): string {
  return `
base_dir = ${folder}/run
state_dir = ${folder}/state
log_path = /dev/stderr
instance_name = bench
protocols =
ssl = no
listen = 127.0.0.1
# They are there wherever Debian is; its own users come with an installation.
default_internal_user = nobody
default_internal_group = nogroup
default_login_user = www-data
auth_mechanisms = plain
auth_cache_size = 0
auth_failure_delay = 0
passdb {
  driver = ldap
  args = ${folder}/ldap.conf
}
userdb {
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent
}
service auth {
  user = root
  client_limit = 1000
  unix_listener auth-bench {
    mode = 0666
  }
}
# Whoever fails waits longer each time, all of one address together: not what is measured.
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
`
}
