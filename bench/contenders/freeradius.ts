/** FreeRADIUS: PAP over UDP, and rlm_ldap searches and binds. */
import { createHash, createHmac, randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { corpService } from '../../test/support/corp.ts'
import type { Contender } from '../contender.ts'
import type { BenchDirectory } from '../directory.ts'
import { ldapUrl, provide, serve } from './serve.ts'

const SECRET = 'shared-by-client-and-server'

/** Codes and attributes of RFC 2865 and RFC 2869. */
const ACCESS_REQUEST = 1
const ACCESS_ACCEPT = 2
const ACCESS_REJECT = 3
const USER_NAME = 1
const USER_PASSWORD = 2
const MESSAGE_AUTHENTICATOR = 80

export const freeradius: Contender = {
  name: 'FreeRADIUS rlm_ldap',
  remark:
    '3.2, PAP, 32 threads and 32 connections to the directory, no delay for a reject, no log, no accounting',
  async start(directory, folder) {
    const program = await provide({
      name: 'freeradius',
      program: '/usr/sbin/freeradius',
      also: ['freeradius-ldap'],
      probe: ['-v'],
      overlay: true,
      // One of its libraries is in a package that has not moved to /usr.
      environment: root => ({
        LD_LIBRARY_PATH: ['x86_64', 'aarch64'].map(name => `${root}/lib/${name}-linux-gnu`).join(':'),
      }),
    })
    await mkdir(folder, { recursive: true })
    return serve(directory, folder, async port => {
      await writeFile(join(folder, 'radiusd.conf'), configuration(port, folder, directory))
      return {
        protocol: 'octet',
        address: `127.0.0.1:${port}`,
        request: accessRequest,
        accepted: `${ACCESS_ACCEPT}`,
        refused: `${ACCESS_REJECT}`,
        command: [...program.prefix, program.path, '-f', '-l', 'stderr', '-n', 'radiusd', '-d', folder],
        env: program.env,
      }
    })
  },
}

let identifier = 0

/** RFC 2865 section 4.1, with the Message-Authenticator of RFC 2869 section 5.14 first, as servers ask for by now. */
function accessRequest(username: string, password: string): Buffer {
  const authenticator = randomBytes(16)
  const attributes = [
    attribute(MESSAGE_AUTHENTICATOR, Buffer.alloc(16)),
    attribute(USER_NAME, Buffer.from(username)),
    attribute(USER_PASSWORD, hide(password, authenticator)),
  ]
  const header = Buffer.alloc(4)
  const packet = Buffer.concat([header, authenticator, ...attributes])
  identifier = (identifier + 1) % 256
  packet[0] = ACCESS_REQUEST
  packet[1] = identifier
  packet.writeUInt16BE(packet.length, 2)
  createHmac('md5', SECRET).update(packet).digest().copy(packet, 22)
  return packet
}

function attribute(type: number, value: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(type, value.length + 2), value])
}

/** RFC 2865 section 5.2. */
function hide(password: string, authenticator: Buffer): Buffer {
  const octets = Buffer.from(password)
  const padded = Buffer.alloc(Math.max(16, Math.ceil(octets.length / 16) * 16))
  octets.copy(padded)
  let before = authenticator
  for (let at = 0; at < padded.length; at += 16) {
    const mask = createHash('md5').update(SECRET).update(before).digest()
    for (let i = 0; i < 16; i += 1) padded[at + i] = (padded[at + i] ?? 0) ^ (mask[i] ?? 0)
    before = padded.subarray(at, at + 16)
  }
  return padded
}

function configuration(port: number, folder: string, directory: BenchDirectory): string {
  return `
libdir = /usr/lib/freeradius
logdir = ${folder}
run_dir = ${folder}
pidfile = ${folder}/radiusd.pid
cleanup_delay = 0
max_requests = 65536
hostname_lookups = no
log {
  destination = stderr
  auth = no
}
security {
  reject_delay = 0
  status_server = no
  allow_vulnerable_openssl = yes
}
thread pool {
  start_servers = 32
  max_servers = 32
  min_spare_servers = 32
  max_spare_servers = 32
  max_requests_per_server = 0
}
client loopback {
  ipaddr = 127.0.0.1
  secret = ${SECRET}
  require_message_authenticator = yes
}
modules {
  ldap {
    server = '${ldapUrl(directory)}'
    identity = '${corpService.dn}'
    password = '${corpService.password}'
    base_dn = '${directory.slapd.baseDn}'
    user {
      base_dn = "\${..base_dn}"
      filter = "(&(objectClass=inetOrgPerson)(uid=%{User-Name}))"
      scope = 'sub'
    }
    options {
      chase_referrals = no
      idle = 60
      probes = 3
      interval = 3
    }
    pool {
      start = 32
      min = 32
      max = 32
      spare = 0
      uses = 0
      lifetime = 0
      idle_timeout = 0
      retry_delay = 1
    }
  }
}
server login {
  listen {
    type = auth
    ipaddr = 127.0.0.1
    port = ${port}
  }
  authorize {
    update control {
      &Auth-Type := LDAP
    }
  }
  authenticate {
    Auth-Type LDAP {
      ldap
    }
  }
}
`
}
