/** A Samba AD DC of a test's own: a real Active Directory domain on a loopback address that nobody else has. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { createConnection, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import {
  type CertificateAuthority,
  type CertificateRequest,
  createCertificateAuthority,
} from './certificate-authority.ts'
import { createSambaAccounts, type SambaAccounts } from './samba-accounts.ts'
import { provideSamba, runSambaTool, sambaCommand, sambaFolders, samLdb } from './samba-domain.ts'
import { type LoggedAuthentication, readAuthentications } from './samba-log.ts'
import { sambaBaseDn, sambaDomain, sambaPeople, sambaService } from './samba-people.ts'
import type { TestScope } from './slapd.ts'

const run = promisify(execFile)

export interface Samba {
  /** Where it listens: a loopback address of its own. DNS on 53, LDAP on 389 and 636. */
  readonly address: string
  /** By its address, which its certificate carries; so does `ldaps://dc1.corp.example`, for who asks its DNS. */
  readonly ldapsUrl: string
  /** Plain LDAP, where it refuses simple binds before StartTLS with result 8. */
  readonly ldapUrl: string
  readonly caFile: string
  readonly certificateAuthority: CertificateAuthority
  readonly baseDn: string
  readonly serviceDn: string
  readonly servicePassword: string
  /** Changes to accounts, as an administrator makes them. */
  readonly accounts: SambaAccounts
  /** Every authentication that reached it, in order, since it was made; the harness's own are left out. */
  authentications(): Promise<LoggedAuthentication[]>
  /** What it said outside of that log. */
  log(): Promise<string>
  /** Runs `samba-tool` on its database, as an administrator on the machine would; what it printed. Takes a second. */
  tool(...args: readonly string[]): Promise<string>
  /** Ends it and frees its ports, as an outage does. Idempotent. */
  stop(signal?: NodeJS.Signals): Promise<void>
  /** Starts it again on the same address and data; resolves when it answers. */
  start(): Promise<void>
  /** Puts everybody back as they were, in about a second. Ends every connection. */
  reset(): Promise<void>
}

export interface SambaOptions {
  /** Lines of smb.conf(5) for its global section. */
  readonly config?: string
  /** Its certificate; with its host name and its address by default. */
  readonly certificate?: CertificateRequest
}

/** The harness's own connections come from here, so that the log tells them from the product's. */
const harnessAddress = '127.0.0.2'
const startsWithinMs = 20_000

/**
 * Starts a domain controller with the people of samba-people.ts, gone when the test ends.
 *
 * @throws {Error} naming what to install or to do, or with Samba's own words when it does not start
 */
export async function startSamba(t: TestScope, options: SambaOptions = {}): Promise<Samba> {
  const directory = await mkdtemp(join(tmpdir(), 'gatehouse-samba-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const [{ program, pristine }, authority, address] = await Promise.all([
    provideSamba(),
    createCertificateAuthority(join(directory, 'tls')),
    freeAddress(),
  ])
  const names = [`DNS:${sambaDomain.host}`, `IP:${address}`]
  const certificate = await authority.issue({ names, commonName: sambaDomain.host, ...options.certificate })
  const data = join(directory, 'data')
  const configFile = join(directory, 'smb.conf')
  const logFile = join(directory, 'samba.log')
  const authenticationLog = join(directory, 'authentications.log')
  await writeFile(
    configFile,
    `
[global]
server role = active directory domain controller
workgroup = ${sambaDomain.netbios}
realm = ${sambaDomain.dns.toUpperCase()}
netbios name = ${sambaDomain.host.split('.')[0]}
interfaces = ${address}/8
bind interfaces only = yes
server services = ldap, cldap, kdc, dns
# Nothing of a test is asked outside of this machine.
dns forwarder =
ldb:nosync = true
old password allowed period = 0
tls enabled = yes
tls cafile = ${authority.caFile}
tls certfile = ${certificate.certFile}
tls keyfile = ${certificate.keyFile}
log file = ${logFile}
log level = 1 auth_json_audit:3@${authenticationLog}
${sambaFolders(data)}
${options.config ?? ''}
`,
  )
  const accounts = createSambaAccounts({ address, from: harnessAddress })
  let child: ChildProcess | undefined

  async function start(): Promise<void> {
    if (child !== undefined) return
    const log = await open(logFile, 'a')
    const samba = sambaCommand(program, [program.path, '-s', configFile, '-F', '-M', 'single'])
    // The kernel ends it with us, so that a test process that is killed leaves nothing running.
    const started = spawn('setpriv', ['--pdeathsig', 'KILL', samba.file, ...samba.args], {
      env: samba.env,
      stdio: ['ignore', log.fd, log.fd],
    })
    child = started
    started.once('exit', () => {
      if (child === started) child = undefined
    })
    await log.close()
    const giveUp = performance.now() + startsWithinMs
    while (!(await accepts(address))) {
      if (child !== started || performance.now() > giveUp) {
        await stop('SIGKILL')
        throw new Error(`Samba did not start:\n${await readFile(logFile, 'utf8')}`)
      }
      await pause(20)
    }
    await accounts.atStart(address, sambaPeople.expiresSoon.dn)
  }

  async function stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const running = child
    if (running === undefined) return
    const exited = once(running, 'exit')
    running.kill(signal)
    const kill = setTimeout(() => running.kill('SIGKILL'), 2_000)
    await exited
    clearTimeout(kill)
  }

  async function fill(): Promise<void> {
    await rm(data, { recursive: true, force: true })
    await run('cp', ['--archive', '--reflink=auto', pristine, data])
    await mkdir(join(data, 'ncalrpc'), { recursive: true })
  }

  await fill()
  // tap runs the last teardown first: it ends before its folder goes.
  t.teardown(() => stop('SIGKILL'))
  await start()

  return {
    address,
    ldapsUrl: `ldaps://${address}`,
    ldapUrl: `ldap://${address}`,
    caFile: authority.caFile,
    certificateAuthority: authority,
    baseDn: sambaBaseDn,
    serviceDn: sambaService.dn,
    servicePassword: sambaService.password,
    accounts,
    authentications: async () =>
      (await readAuthentications(authenticationLog)).filter(({ from }) => from !== harnessAddress),
    log: () => readFile(logFile, 'utf8'),
    tool: (...args) =>
      runSambaTool(program, ['/usr/bin/samba-tool', ...args, '-s', configFile, '-H', samLdb(data)]),
    stop,
    start,
    async reset() {
      await stop('SIGKILL')
      await fill()
      await start()
    },
  }
}

/** An address of 127/8 on which nobody serves: Samba's ports are fixed, so test files side by side differ in this. */
async function freeAddress(): Promise<string> {
  for (;;) {
    const address = `127.${randomInt(64, 127)}.${randomInt(0, 256)}.${randomInt(1, 255)}`
    if (await isFree(address)) return address
  }
}

function isFree(address: string): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(636, address, () => server.close(() => resolve(true)))
  })
}

function accepts(address: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = createConnection(636, address)
    socket.once('error', () => resolve(false)).once('connect', () => resolve(true))
    socket.once('connect', () => socket.destroy())
  })
}
