import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { copyFile, mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Attribute, Change, Client } from 'ldapts'
import {
  type CertificateAuthority,
  type CertificateRequest,
  createCertificateAuthority,
} from './certificate-authority.ts'
import { corpBaseDn, corpGroupsDn, corpService } from './corp.ts'
import { type DebianProgram, provideDebianProgram } from './debian.ts'
import { quietPort } from './quiet-port.ts'
import {
  type LoggedBind,
  type LoggedSearch,
  loggedBinds,
  loggedSearches,
  readSettledLog,
} from './slapd-log.ts'

const run = promisify(execFile)

export interface Slapd {
  /** Plain LDAP on loopback; StartTLS is offered on the same port. */
  readonly ldapUrl: string
  readonly ldapsUrl: string
  /** The same as `ldapUrl`, for those who mean to upgrade. */
  readonly startTlsUrl: string
  readonly ldapPort: number
  readonly ldapsPort: number
  /** Signed the server's certificate, which names localhost and 127.0.0.1. */
  readonly caFile: string
  readonly certificateAuthority: CertificateAuthority
  readonly baseDn: string
  /** May search and read everything but passwords. */
  readonly serviceDn: string
  readonly servicePassword: string
  /** May do everything: for tests that change the directory under the daemon's feet. */
  readonly adminDn: string
  readonly adminPassword: string
  /** Every bind a client sent, in order, as slapd logged it; the harness's own are left out. */
  binds(): Promise<LoggedBind[]>
  /** Every search a client sent, in order; the harness's own are left out. */
  searches(): Promise<LoggedSearch[]>
  /** The whole log so far, every operation in it with its result. */
  log(): Promise<string>
  /** Of its process; undefined while it is stopped. */
  readonly pid: number | undefined
  /** Ends it and frees its ports, as an outage does. Idempotent. */
  stop(signal?: NodeJS.Signals): Promise<void>
  /** Starts it again on the same ports and data; resolves when it answers. */
  start(): Promise<void>
}

export interface SlapdOptions {
  /** LDIF to load; fixtures/ldap/corp.ldif by default. Its base must be dc=corp,dc=example. */
  readonly ldif?: string
  /** The server's certificate; see `CertificateRequest`. */
  readonly certificate?: CertificateRequest
  /** Lines of slapd.conf(5) for the server as a whole, such as `moduleload retcode`. */
  readonly serverConfig?: string
  /** Rules of slapd.access(5) that come before those of every test; what none of them is about is as always. */
  readonly access?: string
  /** Lines of slapd.conf(5) for the database, such as `overlay retcode`. */
  readonly databaseConfig?: string
  /** What slapd writes down: every operation, as tests want it, or for speed nothing at all; then `log` has nothing to tell. */
  readonly logs?: 'stats' | 'none'
  /** How large the database may get, in octets; 64 MiB by default. */
  readonly maxSize?: number
}

/** What a test hands in: tap's `t` fits. */
export interface TestScope {
  teardown(end: () => unknown): void
}

/** A slapd of the test's own, in its own folder and on its own ports, gone when the test ends. */
export async function startSlapd(t: TestScope, options: SlapdOptions = {}): Promise<Slapd> {
  const directory = await mkdtemp(join(tmpdir(), 'gatehouse-slapd-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const slapd = await runSlapd({ ...options, directory })
  // tap runs the last teardown first: slapd ends before its folder goes.
  t.teardown(() => slapd.stop('SIGKILL'))
  return slapd
}

/** Options of the backend `corp` that asks it, as they stand in the YAML. */
export function corpBackend(slapd: Slapd, changes: object = {}): object {
  return {
    id: 'corp',
    type: 'ldap',
    preset: 'openldap',
    urls: [slapd.ldapsUrl],
    tls: { ca_file: slapd.caFile },
    bind: { dn: slapd.serviceDn, password: slapd.servicePassword },
    base_dn: slapd.baseDn,
    ...changes,
  }
}

/** Debian's slapd: the system's, or one fetched for the tests. */
export function provideSlapd(): Promise<DebianProgram> {
  return provideDebianProgram({ name: 'slapd', program: '/usr/sbin/slapd', probe: ['-VV'] })
}

/**
 * Starts a slapd in the foreground of this process; the caller ends it with `stop`.
 *
 * @throws Error with slapd's own words when it does not start
 */
export async function runSlapd(options: SlapdOptions & { directory: string }): Promise<Slapd> {
  const { directory } = options
  await mkdir(join(directory, 'data'), { recursive: true })
  const [program, authority] = await Promise.all([
    provideSlapd(),
    createCertificateAuthority(join(directory, 'tls')),
  ])
  const certificate = await authority.issue(options.certificate)
  // AppArmor confines /usr/sbin/slapd, by that path, to the system's own folders: run a copy.
  const binary = join(directory, 'slapd')
  await copyFile(program.path, binary)

  const adminDn = `cn=admin,${corpBaseDn}`
  const adminPassword = randomBytes(12).toString('hex')
  const configFile = join(directory, 'slapd.conf')
  const installed = (path: string) => `${program.root}${path}`
  await writeFile(
    configFile,
    `
include ${installed('/etc/ldap/schema/core.schema')}
include ${installed('/etc/ldap/schema/cosine.schema')}
include ${installed('/etc/ldap/schema/inetorgperson.schema')}
modulepath ${installed('/usr/lib/ldap')}
moduleload back_mdb
moduleload memberof
moduleload refint
pidfile ${join(directory, 'slapd.pid')}
TLSCACertificateFile ${authority.caFile}
TLSCertificateFile ${certificate.certFile}
TLSCertificateKeyFile ${certificate.keyFile}
${options.serverConfig ?? ''}
# Clients must see what the server can before they bind.
access to dn.base="" by * read

database mdb
suffix "${corpBaseDn}"
rootdn "${adminDn}"
rootpw ${adminPassword}
directory ${join(directory, 'data')}
maxsize ${options.maxSize ?? 67_108_864}
dbnosync
index objectClass,uid,mail,cn,member eq
overlay memberof
overlay refint
refint_attributes member memberOf
${options.access ?? ''}
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="${corpService.dn}" read by self read by anonymous auth by * none
${options.databaseConfig ?? ''}
`,
  )
  const env = { ...process.env, ...program.env, LDAPNOINIT: '1' }
  const ldif = options.ldif ?? fileURLToPath(new URL('../../fixtures/ldap/corp.ldif', import.meta.url))
  await run(binary, ['-T', 'add', '-q', '-f', configFile, '-l', ldif], { env })

  const logFile = join(directory, 'slapd.log')
  const server = createServer({
    binary,
    configFile,
    logFile,
    env,
    debug: options.logs === 'none' ? '0' : 'stats',
  })
  const { ldapPort, ldapsPort } = await startOnFreePorts(server)
  const ldapUrl = `ldap://localhost:${ldapPort}`
  await fillMemberOf(ldapsPort, adminDn, adminPassword).catch(async error => {
    await server.stop('SIGKILL')
    throw error
  })
  const ownBinds = loggedBinds(await readSettledLog(logFile)).length
  const ownSearches = loggedSearches(await readSettledLog(logFile)).length

  return {
    ldapUrl,
    ldapsUrl: `ldaps://localhost:${ldapsPort}`,
    startTlsUrl: ldapUrl,
    ldapPort,
    ldapsPort,
    caFile: authority.caFile,
    certificateAuthority: authority,
    baseDn: corpBaseDn,
    serviceDn: corpService.dn,
    servicePassword: corpService.password,
    adminDn,
    adminPassword,
    binds: async () => loggedBinds(await readSettledLog(logFile)).slice(ownBinds),
    searches: async () => loggedSearches(await readSettledLog(logFile)).slice(ownSearches),
    log: () => readSettledLog(logFile),
    get pid() {
      return server.pid
    },
    stop: server.stop,
    start: () => server.start(ldapPort, ldapsPort),
  }
}

interface ServerProcess {
  readonly pid: number | undefined
  start(ldapPort: number, ldapsPort: number): Promise<void>
  stop(signal?: NodeJS.Signals): Promise<void>
}

interface ServerFiles {
  readonly binary: string
  readonly configFile: string
  readonly logFile: string
  readonly env: NodeJS.ProcessEnv
  /** slapd's debug level: 0 still keeps it in the foreground. */
  readonly debug: string
}

function createServer(files: ServerFiles): ServerProcess {
  let child: ChildProcess | undefined

  return {
    get pid() {
      return child?.pid
    },
    start,
    stop,
  }

  async function start(ldapPort: number, ldapsPort: number): Promise<void> {
    if (child !== undefined) return
    const log = await open(files.logFile, 'a')
    const logged = (await log.stat()).size
    const listeners = `ldaps://127.0.0.1:${ldapsPort} ldap://127.0.0.1:${ldapPort}`
    const slapd = [files.binary, '-d', files.debug, '-f', files.configFile, '-h', listeners]
    // The kernel ends it with us, so that a test process that is killed leaves nothing running.
    const started = spawn('setpriv', ['--pdeathsig', 'KILL', ...slapd], {
      env: files.env,
      stdio: ['ignore', log.fd, log.fd],
    })
    child = started
    started.once('exit', () => {
      if (child === started) child = undefined
    })
    await log.close()
    // It opens its listeners in order, and answers what the system accepted for it: the last one tells.
    while (!(await accepts(ldapPort))) {
      if (child !== started) {
        throw new Error(`slapd did not start:\n${(await readFile(files.logFile, 'utf8')).slice(logged)}`)
      }
      await pause(5)
    }
  }

  async function stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const running = child
    if (running === undefined) return
    const exited = once(running, 'exit')
    running.kill(signal)
    // A polite end waits for clients; an outage does not.
    const kill = setTimeout(() => running.kill('SIGKILL'), 2_000)
    await exited
    clearTimeout(kill)
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

/** slapd cannot be given port 0. Two slapds that draw the same port draw again. */
async function startOnFreePorts(server: ServerProcess): Promise<{ ldapPort: number; ldapsPort: number }> {
  for (let attempt = 1; ; attempt += 1) {
    const ldapPort = quietPort()
    const ldapsPort = ldapPort + 1
    try {
      await server.start(ldapPort, ldapsPort)
      return { ldapPort, ldapsPort }
    } catch (error) {
      if (attempt === 10 || !/address already in use/i.test(String(error))) throw error
    }
  }
}

/** The overlay fills memberOf when a group is written over LDAP, and slapadd goes around it: write them once more. */
async function fillMemberOf(ldapsPort: number, adminDn: string, adminPassword: string): Promise<void> {
  // Over TLS, as the test may have made that a must, whatever certificate the test has asked for.
  const client = new Client({
    url: `ldaps://127.0.0.1:${ldapsPort}`,
    timeout: 5_000,
    connectTimeout: 5_000,
    tlsOptions: { rejectUnauthorized: false },
  })
  try {
    await client.bind(adminDn, adminPassword)
    const { searchEntries } = await client.search(corpGroupsDn, {
      filter: '(objectClass=groupOfNames)',
      attributes: ['member'],
    })
    for (const group of searchEntries) {
      const values = [group.member ?? []].flat().map(String)
      const modification = new Attribute({ type: 'member', values })
      await client.modify(group.dn, new Change({ operation: 'replace', modification }))
    }
  } finally {
    await client.unbind()
  }
}
