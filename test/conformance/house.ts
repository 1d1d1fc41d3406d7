/** The daemon as an app, an operator and a directory see it: a real configuration, real listeners, real files; asked over HTTP. */
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { type App, startApp } from '../../src/app.ts'
import { resolvePlugin } from '../../src/backends/registry.ts'
import type { LoadedConfig } from '../../src/config/config.ts'
import { loadConfig } from '../../src/config/load.ts'
import type { BackendPlugin } from '../../src/plugin.ts'
import type { ReloadResult } from '../../src/reload.ts'
import { runCommand } from '../support/daemon.ts'
import { createFreshGuesses } from '../support/fresh-guesses.ts'
import { createLogRecorder, type LogLine, type LogRecorder } from '../support/log-recorder.ts'

export interface House {
  /** The one that runs now; after `restart` another. */
  readonly app: App
  readonly log: LogRecorder
  /** The public listener. */
  readonly url: string
  /** What the login form shows to be known. */
  readonly headers: Readonly<Record<string, string>>
  /** The folder with the configuration and the database in it. */
  readonly folder: string
  /** Name and password of the user that the first start makes. */
  readonly admin: { readonly username: string; readonly password: string }
  /** POST /authenticate, from the login form, which may say who asks and is told account states. */
  login(username: unknown, password: unknown, visit?: Visit): Promise<Reply>
  /** So many wrong passwords one after another, none of them tried before. */
  guess(username: string, times: number, visit?: Visit): Promise<Reply[]>
  /** Any request to the public listener. */
  ask(path: string, options?: Asking): Promise<Reply>
  /** GET /users/{id}. */
  getUser(id: string): Promise<Reply>
  /** The lines of the event log that attempts left, oldest first. */
  attempts(): LogLine[]
  /** The admin listener's `/metrics`. */
  metrics(): Promise<string>
  /** `gatehouse ARGS`, as an operator types it, for this daemon; `input` is its standard input. */
  command(
    args: readonly string[],
    input?: string,
  ): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }>
  /** Takes this configuration instead, by a reload. */
  reload(config: HouseConfig): Promise<ReloadResult>
  /** Stops it and starts it again on the same files. */
  restart(): Promise<void>
}

/** Parts of the YAML. `listen`, `admin`, `database`, `log` and two clients are there already. */
export type HouseConfig = { readonly backends: readonly object[] } & Readonly<Record<string, unknown>>

export interface HouseOptions {
  /** Backends of the test's own by the word in YAML, for answers that no real one gives on demand. */
  readonly plugins?: Readonly<Record<string, BackendPlugin>>
}

export interface Visit {
  /** The end user's address. 192.0.2.1 unless said. */
  readonly from?: string
  /** `outsider` may neither say who asks nor is told anything. */
  readonly app?: keyof typeof APPS
  readonly headers?: Readonly<Record<string, string>>
}

export interface Asking {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Sent as it is if it is text or octets, else as JSON. */
  readonly body?: unknown
}

export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
  /** Parsed, if it is JSON. */
  readonly body: Record<string, unknown>
  readonly code: unknown
  /** Seconds. */
  readonly retryAfter: number | undefined
}

const APPS = {
  'login form': {
    id: 'form',
    key: 'key-of-the-login-form',
    may: ['assert_client_ip', 'reveal_account_state'],
  },
  outsider: { id: 'outsider', key: 'key-of-the-outsider', may: [] },
} as const

/** `lockout.secret` of every house, so that no guess is one that it takes for a repetition. */
export const SECRET = 'a secret of the lockout that every house here shares'

export const LOCAL = { id: 'local', type: 'local' } as const
export const EMAIL = { id: 'email', type: 'email' } as const

/** Opens a daemon in this process until the test ends. */
export async function openHouse(
  t: Test,
  config: HouseConfig,
  { plugins = {} }: HouseOptions = {},
): Promise<House> {
  // Not tap's own: a test may open several, and each call empties that one.
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-house-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'gatehouse.yaml')
  const secretFile = join(folder, 'lockout-secret')
  writeFileSync(secretFile, SECRET, { mode: 0o600 })
  const log = createLogRecorder()
  const agent = new Agent({ keepAlive: true })
  t.teardown(() => agent.destroy())

  async function load(): Promise<LoadedConfig> {
    return loadConfig({
      file,
      env: {},
      resolvePlugin: async (type, declared) => plugins[type] ?? resolvePlugin(type, declared),
    })
  }
  function write({ backends, clients = [], lockout, ...rest }: HouseConfig): void {
    const whole = {
      listen: { host: '127.0.0.1', port: 0 },
      admin: { host: '127.0.0.1', port: 0 },
      database: join(folder, 'gatehouse.db'),
      clients: [
        ...Object.values(APPS).map(({ id, key, may }) => ({
          id,
          key_sha256: createHash('sha256').update(key).digest('hex'),
          may,
        })),
        ...(clients as object[]),
      ],
      backends,
      lockout: { secret_file: secretFile, ...(lockout as object | undefined) },
      // When failures are answered is a matter of its own: timing.conformance.ts.
      timing: { floor: '1ms', jitter: '1ms' },
      ...rest,
    }
    // JSON is YAML.
    writeFileSync(file, JSON.stringify(whole))
  }

  write(config)
  const start = async () => startApp((await load()).config, log, load)
  let app = await start()
  t.teardown(() => app.stop())
  const { firstAdmin } = app
  if (firstAdmin === undefined) throw new Error('no first admin was made')
  const admin = { username: firstAdmin.username, password: firstAdmin.password.reveal() }
  const freshGuess = createFreshGuesses(SECRET)

  const house: House = {
    get app() {
      return app
    },
    get url() {
      return app.publicUrl
    },
    headers: { authorization: `Bearer ${APPS['login form'].key}` },
    log,
    folder,
    admin,
    async login(username, password, { from = '192.0.2.1', app = 'login form', headers = {} } = {}) {
      const mayAssert = app === 'login form'
      return house.ask('/authenticate', {
        method: 'POST',
        headers: { authorization: `Bearer ${APPS[app].key}`, ...headers },
        body: { username, password, ...(mayAssert && { client: { ip: from } }) },
      })
    },
    async guess(username, times, visit) {
      const replies: Reply[] = []
      for (let i = 0; i < times; i++) {
        replies.push(await house.login(username, freshGuess(), visit))
      }
      return replies
    },
    ask: (path, asking = {}) => send(agent, `${app.publicUrl}${path}`, asking),
    getUser: id =>
      house.ask(`/users/${encodeURIComponent(id)}`, {
        headers: { authorization: `Bearer ${APPS['login form'].key}` },
      }),
    attempts: () => log.lines.filter(({ fields }) => 'verdict' in fields && 'steps' in fields),
    metrics: async () => (await send(agent, `${app.adminUrl}/metrics`, {})).text,
    command: (args, input = '') =>
      runCommand([...args, '--config', file, ...adminOption(args, app)], { cwd: folder, input }),
    async reload(next) {
      write(next)
      return app.reload()
    },
    async restart() {
      await app.stop()
      app = await start()
    },
  }
  return house
}

/** Commands that ask the daemon: its port is not the one in the file. */
function adminOption([command]: readonly string[], { adminUrl }: App): readonly string[] {
  return command === 'lockout' || command === 'explain' ? ['--admin', adminUrl] : []
}

function send(agent: Agent, url: string, { method = 'GET', headers = {}, body }: Asking): Promise<Reply> {
  const isReady = typeof body === 'string' || Buffer.isBuffer(body) || body === undefined
  const content = isReady ? body : JSON.stringify(body)
  const { promise, resolve, reject } = Promise.withResolvers<Reply>()
  const sent = request(url, {
    agent,
    method,
    headers: { ...(content !== undefined && { 'content-type': 'application/json' }), ...headers },
  })
  sent.on('error', reject)
  sent.on('response', response => {
    let text = ''
    response.setEncoding('utf8')
    response.on('data', chunk => {
      text += chunk
    })
    response.on('error', reject)
    response.on('end', () => {
      const body = parse(text)
      const retryAfter = response.headers['retry-after']
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers,
        text,
        body,
        code: body.code,
        retryAfter: retryAfter === undefined ? undefined : Number(retryAfter),
      })
    })
  })
  sent.end(content)
  return promise
}

function parse(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text)
  } catch {
    return {}
  }
}
