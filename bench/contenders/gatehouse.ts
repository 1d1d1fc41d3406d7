/** The daemon as its operators run it: a process of its own, with everything on, its log in a file. */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, open, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { quietPort } from '../../test/support/quiet-port.ts'
import { corpBackend } from '../../test/support/slapd.ts'
import type { Contender, Running } from '../contender.ts'
import { loginRequest } from '../login-request.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const READY_WITHIN_MS = 20_000

export interface GatehouseOptions {
  readonly name: string
  readonly remark: string
  /** Of the backend `corp`. */
  readonly backend?: object
  /** Sections of the YAML, each instead of ours. */
  readonly sections?: object
  /** Asks over TLS. */
  readonly ldaps?: boolean
  /** No directory: the local users only. */
  readonly localOnly?: boolean
}

/** What every one of them has: each line of the log is written, and each person comes from an address of their own. */
const SECTIONS = {
  admin: { port: 0 },
  trusted_proxies: ['127.0.0.1'],
  log: { format: 'json', max_per_second: 1_000_000 },
  // Who has logged in from where is remembered for 2,600 people within the default of 64 MiB: these are 10,000.
  lockout: { duration: '12h', memory: '256MiB' },
}

export function gatehouse({
  name,
  remark,
  backend,
  sections,
  ldaps,
  localOnly,
}: GatehouseOptions): Contender {
  return {
    name,
    remark,
    async start({ slapd }, folder) {
      const urls = [ldaps ? slapd.ldapsUrl : slapd.ldapUrl]
      const corp = corpBackend(slapd, { urls, ...(!ldaps && { tls: {}, insecure: true }), ...backend })
      const backends = localOnly ? [{ id: 'local', type: 'local' }] : [corp]
      return startGatehouse(folder, { ...SECTIONS, backends, ...sections })
    },
  }
}

/**
 * Starts one with this configuration (as JSON, which YAML is); `listen` and `database` are ours.
 *
 * @throws Error with the daemon's own words when it does not get ready
 */
export async function startGatehouse(
  folder: string,
  sections: object,
): Promise<Running & { readonly configFile: string; readonly log: string }> {
  await mkdir(folder, { recursive: true })
  const port = quietPort()
  const config = { ...sections, listen: { port }, database: join(folder, 'gatehouse.db') }
  const configFile = join(folder, 'gatehouse.yaml')
  await writeFile(configFile, JSON.stringify(config), { mode: 0o600 })
  const logFile = join(folder, 'gatehouse.log')
  const log = await open(logFile, 'a')
  const child = spawn(
    'setpriv',
    ['--pdeathsig', 'KILL', process.execPath, MAIN, 'serve', '--config', configFile],
    { cwd: folder, stdio: ['ignore', log.fd, log.fd] },
  )
  await log.close()
  const ended = once(child, 'exit')
  await untilReady(port, child, logFile)
  return {
    protocol: 'http',
    address: `127.0.0.1:${port}`,
    request: loginRequest,
    accepted: '200',
    refused: '401',
    pids: [child.pid ?? 0],
    configFile,
    log: logFile,
    async stop() {
      child.kill('SIGTERM')
      await ended
    },
  }
}

async function untilReady(port: number, child: ChildProcess, logFile: string): Promise<void> {
  const giveUp = performance.now() + READY_WITHIN_MS
  while (performance.now() < giveUp && child.exitCode === null) {
    const ready = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined)
    if (ready?.ok) return
    await pause(20)
  }
  child.kill('SIGKILL')
  throw new Error(`the daemon did not get ready:\n${await readFile(logFile, 'utf8')}`)
}

/** A name that nobody has, and that was never asked for before. */
export function nobody(): string {
  return `nobody${randomInt(2 ** 40)}`
}
