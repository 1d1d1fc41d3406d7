/**
 * The login desk as it is in service: a daemon in a process of its own in front of a real directory. What was verified is counted in
 * the directory's own log, and what was answered is counted by who asked.
 */
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type Daemon, runCommand, startDaemon } from '../support/daemon.ts'
import { createFreshGuesses } from '../support/fresh-guesses.ts'
import type { Slapd, TestScope } from '../support/slapd.ts'
import type { Played } from './scene.ts'

export interface LiveDesk {
  /** The one that runs now; after a restart another. */
  readonly daemon: Daemon
  login(name: string, password: string, visit?: Visit): Promise<Reply>
  /** With a wrong password that nobody tried before. */
  guess(name: string, visit?: Visit): Promise<Reply>
  /** Ends it without a word, and starts it again on the same files. @param meanwhile while there is none */
  crash(meanwhile?: () => unknown): Promise<void>
  /** The same by SIGTERM. */
  restart(meanwhile?: () => unknown): Promise<void>
  /** `gatehouse ARGS`, for this daemon. */
  command(...args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }>
  /** One of the daemon's own figures, for what is about its memory and not about guesses. */
  metric(line: RegExp): Promise<number>
}

/** How somebody comes by. */
export interface Visit {
  /** Of the end user, as an app says that may. */
  readonly from?: string
  /** `login form` may say who asks, `old app` may not. */
  readonly app?: keyof typeof APPS
  readonly headers?: Readonly<Record<string, string>>
}

export interface Reply {
  readonly status: number
  readonly code: string | undefined
  /** Seconds. */
  readonly retryAfter: number | undefined
}

const APPS = {
  'login form': { key: 'key-of-the-login-form', id: 'form', may: ['assert_client_ip'] },
  'old app': { key: 'key-of-the-old-app', id: 'old', may: [] },
} as const

/** Of the lockout, the same for all daemons. */
export const SECRET = 'a secret of the lockout that every daemon here shares'

/** Of parallel requests over HTTP. More wait for their turn at the client, and are no attack any more. */
const CONNECTIONS = 1_000
const folders: string[] = []
process.once('exit', () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-attack-'))
  folders.push(folder)
  return folder
}

export interface LiveDeskOptions {
  readonly backend: object
  /** Further parts of the configuration. */
  readonly config?: { readonly lockout?: object } & Readonly<Record<string, unknown>>
  readonly env?: Record<string, string>
}

export async function openLiveDesk(t: TestScope, options: LiveDeskOptions): Promise<LiveDesk> {
  const { backend, config = {}, env = {} } = options
  const cwd = newFolder()
  const file = join(cwd, 'gatehouse.yaml')
  const isSecretSet = config.lockout !== undefined && 'secret_file' in config.lockout
  const whole = {
    listen: { host: '127.0.0.1', port: 0 },
    admin: { host: '127.0.0.1', port: 0 },
    database: 'gatehouse.db',
    // Each attempt is looked for in it.
    log: { level: 'info', format: 'json', max_per_second: 1_000_000 },
    // When a guess is answered changes nothing of what comes of it.
    timing: { floor: '1ms', jitter: '1ms' },
    clients: Object.values(APPS).map(({ key, id, may }) => ({
      id,
      key_sha256: createHash('sha256').update(key).digest('hex'),
      may,
    })),
    backends: [backend],
    ...config,
    lockout: { ...(isSecretSet ? {} : { secret: SECRET }), ...config.lockout },
  }
  // JSON is YAML.
  writeFileSync(file, JSON.stringify(whole))
  const start = () => startDaemon(t, { config: file, cwd, env })
  let daemon = await start()
  let agent = newAgent()
  t.teardown(() => agent.destroy())
  const freshGuess = createFreshGuesses(SECRET)

  async function login(name: string, password: string, visit: Visit = {}): Promise<Reply> {
    const { from, app = 'login form', headers } = visit
    const body = { username: name, password, ...(from !== undefined && { client: { ip: from } }) }
    return post(agent, `${daemon.url}/authenticate`, body, {
      authorization: `Bearer ${APPS[app].key}`,
      ...headers,
    })
  }

  async function startAnew(signal: NodeJS.Signals, meanwhile: () => unknown): Promise<void> {
    await daemon.stop(signal)
    agent.destroy()
    await meanwhile()
    agent = newAgent()
    daemon = await start()
  }

  return {
    get daemon() {
      return daemon
    },
    login,
    guess: (name, visit) => login(name, freshGuess(), visit),
    crash: (meanwhile = () => {}) => startAnew('SIGKILL', meanwhile),
    restart: (meanwhile = () => {}) => startAnew('SIGTERM', meanwhile),
    command: (...args) => runCommand([...args, '--admin', daemon.adminUrl, '--config', file], { cwd }),
    async metric(line) {
      const response = await fetch(`${daemon.adminUrl}/metrics`, { headers: { connection: 'close' } })
      return Number(line.exec(await response.text())?.[1])
    },
  }
}

function newAgent(): Agent {
  return new Agent({ keepAlive: true, maxSockets: CONNECTIONS })
}

function post(agent: Agent, url: string, body: object, headers: Record<string, string>): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const sent = request(
      url,
      { method: 'POST', agent, headers: { 'content-type': 'application/json', ...headers } },
      response => {
        let text = ''
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part
        })
        response.on('error', reject).on('end', () => {
          const seconds = response.headers['retry-after']
          resolve({
            status: response.statusCode ?? 0,
            code: JSON.parse(text).code,
            retryAfter: seconds === undefined ? undefined : Number(seconds),
          })
        })
      },
    )
    sent.on('error', reject)
    sent.end(JSON.stringify(body))
  })
}

/** Wrong passwords that slapd was asked about, of this person. One without an answer counts as well. */
export async function wrongAt(slapd: Slapd, dn: string): Promise<number> {
  return (await slapd.binds()).filter(bind => bind.dn === dn && bind.result !== 0).length
}

/** Right passwords that slapd was asked about. */
export async function rightAt(slapd: Slapd, dn: string): Promise<number> {
  return (await slapd.binds()).filter(bind => bind.dn === dn && bind.result === 0).length
}

/** Logins of those who are attacked. */
export interface LiveTally {
  count(reply: Promise<Reply>): Promise<void>
  row(mayRefuse: number | 'no promise'): NonNullable<Played['logins']>
  /** What the refused ones were told, for a test that fails. */
  readonly told: readonly string[]
}

export function openLiveTally(): LiveTally {
  const told: string[] = []
  let of = 0
  return {
    async count(reply) {
      const { status, code } = await reply
      of++
      if (status !== 200) told.push(`${status} ${code}`)
    },
    row: mayRefuse => ({ refused: told.length, of, mayRefuse }),
    told,
  }
}

/**
 * Asks again and again, until it is answered otherwise than `429`.
 *
 * @param withinMs throws after that
 * @returns the other answer, and when its question was asked, in monotonic milliseconds
 */
export async function untilLet(ask: () => Promise<Reply>, withinMs: number) {
  const giveUp = performance.now() + withinMs
  const refusals: Reply[] = []
  for (;;) {
    const askedAt = performance.now()
    const reply = await ask()
    if (reply.status !== 429) return { reply, askedAt, answeredAt: performance.now(), refusals }
    refusals.push(reply)
    if (performance.now() > giveUp) throw new Error(`still ${reply.code} after ${withinMs} ms`)
    await pause(20)
  }
}
