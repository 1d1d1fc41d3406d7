/**
 * What a login costs behind the front: the same search and bind, so many at once, against the directory of the comparison.
 *
 * node bench/wire.ts [wire|login] [logins] [at once]
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Attempt } from '../src/authentication/backend.ts'
import { systemClock } from '../src/authentication/clock.ts'
import type { LocalUsers } from '../src/authentication/local-users.ts'
import type { Log } from '../src/authentication/log.ts'
import { createRefusedAccounts } from '../src/authentication/refused-accounts.ts'
import { Secret } from '../src/authentication/secret.ts'
import { ldapPlugin } from '../src/backends/ldap/index.ts'
import { createDirectory } from '../src/backends/ldap/servers/directory.ts'
import { equals } from '../src/backends/ldap/syntax/filter.ts'
import { ldapOptions } from '../test/backends/ldap/ldap-login.ts'
import { type BenchPerson, startDirectory } from './directory.ts'

const [what = 'wire', logins = '20000', atOnce = '16'] = process.argv.slice(2)
const PEOPLE = 1_000
const ROUNDS = 5

const silent: Log = {
  isLevelEnabled: () => false,
  debug() {},
  info() {},
  warn() {},
  error: (fields, message) => process.stderr.write(`${message} ${JSON.stringify(fields)}\n`),
  fatal() {},
  child: () => silent,
}
const services = {
  id: 'corp',
  log: silent,
  clock: systemClock,
  timeoutMs: 5_000,
  localUsers: {} as LocalUsers,
  refusedAccounts: createRefusedAccounts(systemClock),
}

interface Measured {
  login(person: BenchPerson): Promise<boolean>
  close(): Promise<void>
}

async function open(url: string): Promise<Measured> {
  const options = ldapOptions({ urls: [url], insecure: true })
  if (what === 'login') {
    const backend = await ldapPlugin.create(options, services)
    return {
      async login({ uid, password }) {
        const username = { text: uid, typed: uid, user: uid } as Attempt['username']
        const outcome = await backend.authenticate({
          username,
          password: new Secret(password),
          signal: new AbortController().signal,
          log: silent,
          mayVerify: async () => true,
        })
        return outcome.outcome === 'accept'
      },
      close: () => backend.close(),
    }
  }
  const { bind, connect_timeout: connectTimeoutMs, operation_timeout: operationTimeoutMs, pool } = options
  if (bind.method !== 'simple') throw new Error('the wire is measured with a service account')
  const { hostname: host, port } = new URL(url)
  const directory = createDirectory(
    {
      endpoints: [{ url, host, port: Number(port), security: 'none' }],
      service: { method: 'simple', dn: bind.dn ?? '', password: bind.password as Secret },
      ca: undefined,
      minVersion: 'TLSv1.2',
      servername: undefined,
      connectTimeoutMs,
      operationTimeoutMs,
      asksPolicy: true,
      pool: {
        search: pool.search,
        bind: pool.bind,
        waiting: pool.waiting,
        idleTimeoutMs: pool.idle_timeout,
        maxAgeMs: pool.max_age,
        validateAfterMs: pool.validate_after,
      },
    },
    services,
  )
  const request = {
    base: options.base_dn,
    scope: 'sub',
    attributes: ['entryUUID', 'uid', 'displayName', 'cn', 'mail', 'memberOf'],
    sizeLimit: 2,
  } as const
  return {
    async login({ uid, password }) {
      const { signal } = new AbortController()
      const { entries } = await directory.search({ ...request, filter: equals('uid', uid) }, signal)
      const [entry] = entries
      return entry !== undefined && (await directory.bind(entry.dn, new Secret(password), signal)).code === 0
    },
    close: () => directory.close(),
  }
}

const folder = await mkdtemp(join(tmpdir(), 'gatehouse-wire-'))
const { slapd, people } = await startDirectory(folder, PEOPLE)
try {
  const measured = await open(slapd.ldapUrl)
  for (let round = 0; round <= ROUNDS; round++) {
    let left = Number(logins)
    const before = process.cpuUsage()
    const startedAt = performance.now()
    const worker = async () => {
      while (left-- > 0) {
        const person = people[left % people.length]
        if (!person || !(await measured.login(person))) throw new Error(`refused: ${person?.uid}`)
      }
    }
    await Promise.all(Array.from({ length: Number(atOnce) }, worker))
    const { user, system } = process.cpuUsage(before)
    const seconds = (performance.now() - startedAt) / 1_000
    const per = (us: number) => (us / Number(logins)).toFixed(1)
    // The first round warms up.
    if (round > 0) {
      process.stdout.write(
        `${what}: ${per(user + system)} µs of CPU a login (user ${per(user)}, system ${per(system)}), ` +
          `${(Number(logins) / seconds).toFixed(0)} logins/s\n`,
      )
    }
  }
  await measured.close()
} finally {
  await slapd.stop()
  await rm(folder, { recursive: true, force: true })
}
