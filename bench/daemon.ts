/** The daemon as it is run, for whoever measures it: `gatehouse serve` as a process of its own whose log goes to a file. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, open, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

export interface BenchDaemonOptions {
  /** For its configuration, database, audit trail and log; it is made where it is not there. */
  readonly folder: string
  /** As they stand in the YAML. */
  readonly backends: readonly object[]
  /** Further sections of the YAML; they replace those below. */
  readonly sections?: Readonly<Record<string, unknown>>
  /** Networks whose `X-Forwarded-For` is believed; this machine unless said, so that every user has an address of their own. */
  readonly trustedProxies?: readonly string[]
  /** 0, the default, takes free ones. */
  readonly port?: number
  /** Arguments of Node.js before the program. */
  readonly nodeArgs?: readonly string[]
}

export interface BenchDaemon {
  readonly configFile: string
  readonly url: string
  /** `127.0.0.1:PORT`, as the client in C wants it. */
  readonly address: string
  readonly adminUrl: string
  readonly pid: number
  /** When it said `sys_startup`, in milliseconds since the Unix epoch, by the clock of this machine. */
  readonly startedAtMs: number
  /** Ends it and waits. Idempotent. */
  stop(signal?: NodeJS.Signals): Promise<void>
}

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url))
const READY_WITHIN_MS = 20_000
/** Nothing of what is measured here may be left out of the log. */
const EVERY_LINE = 1_000_000

/**
 * Starts it and resolves when it says that it serves. The kernel ends it with this process.
 *
 * @throws Error with its own words when it does not start
 */
export async function startDaemon(options: BenchDaemonOptions): Promise<BenchDaemon> {
  const { folder, backends, sections = {}, trustedProxies = ['127.0.0.1'], port = 0, nodeArgs = [] } = options
  await mkdir(folder, { recursive: true })
  const config = join(folder, 'gatehouse.yaml')
  const logFile = join(folder, 'gatehouse.log')
  const yaml = {
    listen: { host: '127.0.0.1', port },
    admin: { host: '127.0.0.1', port: 0 },
    database: 'gatehouse.db',
    trusted_proxies: trustedProxies,
    log: { format: 'json', max_per_second: EVERY_LINE },
    backends,
    ...sections,
  }
  // JSON is YAML.
  await writeFile(config, JSON.stringify(yaml), { mode: 0o600 })
  const log = await open(logFile, 'w')
  const child = spawn(
    'setpriv',
    ['--pdeathsig', 'KILL', process.execPath, ...nodeArgs, MAIN, 'serve', '--config', config],
    { cwd: folder, stdio: ['ignore', log.fd, log.fd] },
  )
  const exited = once(child, 'exit')
  await log.close()
  const running = () => child.exitCode === null && child.signalCode === null

  async function stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (running()) child.kill(signal)
    await exited
  }

  const startup = await said(logFile, running).catch(async error => {
    await stop('SIGKILL')
    throw error
  })
  const { url, admin, time } = startup
  return {
    configFile: config,
    url,
    address: new URL(url).host,
    adminUrl: admin,
    pid: child.pid ?? 0,
    startedAtMs: Date.parse(time),
    stop,
  }
}

interface Startup {
  readonly url: string
  readonly admin: string
  /** RFC 3339 */
  readonly time: string
}

/** A file tells nobody when it grows for certain, so it is looked at now and then. */
async function said(logFile: string, running: () => boolean): Promise<Startup> {
  const giveUpMs = performance.now() + READY_WITHIN_MS
  for (;;) {
    const alive = running()
    const text = await readFile(logFile, 'utf8')
    const line = text.split('\n').find(each => each.includes('"event":"sys_startup"') && each.endsWith('}'))
    if (line !== undefined) return JSON.parse(line)
    if (!alive || performance.now() > giveUpMs) throw new Error(`the daemon did not start:\n${text}`)
    await pause(5)
  }
}
