import { randomBytes } from 'node:crypto'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { corpPeople } from '../support/corp.ts'
import { type Daemon, runCommand, startDaemon } from '../support/daemon.ts'
import type { TestScope } from '../support/slapd.ts'
import { crowdedMs, forgetPeak, openDescriptors, residentBytes } from '../support/vitals.ts'

/**
 * The daemon as a process, in front of a directory that is about to have trouble, with local users who have none. Everything
 * that is asked of it is recorded, for `invariants.ts` to judge.
 */

/** Somebody who logs in by LDAP: the right password, and a name. */
export interface Person {
  readonly uid: string
  readonly password: string
}

export interface Attempt {
  readonly name: string
  readonly right: boolean
  readonly status: number
  /** As the caller saw it, from the first octet to the last. */
  readonly ms: number
  /** Of that, how long at most the machine was too busy for somebody. */
  readonly crowdedMs: number
  readonly requestId: string
  readonly code: unknown
  /** Seconds, where the answer says so. */
  readonly retryAfter: number | undefined
  /** Made while a fault was on. */
  readonly faulted: boolean
}

export interface Scene {
  readonly daemon: Daemon
  readonly cwd: string
  /** What stands in the configuration file. */
  configText(): string
  readonly attempts: readonly Attempt[]
  /** Of those, the local ones of a warm daemon that has no trouble yet. */
  readonly localBefore: readonly Attempt[]
  /** No wrong password and no local one ever is without it. */
  readonly canary: string
  /** How long the backend may take, in milliseconds. */
  readonly deadlineMs: number
  readonly baseline: Vitals
  readonly duringFault: Vitals
  /** With the right password, or with a wrong one of its own. */
  login(person: Person, password?: 'right' | 'wrong'): Promise<Attempt>
  /** The user whom no directory knows: the unaffected backend. */
  localLogin(): Promise<Attempt>
  /**
   * Runs `work` while the fault is on, and beside it local logins and probes of liveness, one after the other.
   *
   * @param end takes the fault away
   */
  fault(work: () => Promise<unknown>, end?: () => unknown): Promise<void>
  /** Logs this person in until it works; how long that took, in milliseconds. */
  recovery(person: Person): Promise<number>
  /** Resolves when the log has what was asked so far. */
  settled(): Promise<void>
  /**
   * How long the daemon says each attempt took, in milliseconds, by its request id: at a backend, or altogether. Those that
   * the backend was not asked about are missing.
   */
  durations(backend?: string): ReadonlyMap<string, number>
  /** What the log says that a backend answered to this attempt. */
  stepOf(attempt: Attempt, backend?: string): Step | undefined
  /** What the log says of those that were not let in, for a test that fails. */
  tale(attempts: readonly Attempt[]): string
  /** Everything that the daemon said or wrote down. */
  everything(): string
  metrics(): Promise<string>
}

export interface Step {
  readonly backend: string
  readonly outcome: string
  readonly ms: number
  readonly detail?: string
}

export interface Vitals {
  readonly rssBytes: number
  readonly descriptors: number
  /** Loop delay as the daemon measures it, 99th percentile, in milliseconds. */
  readonly loopP99Ms: number
}

export interface SceneOptions {
  /** Options of the LDAP backend; what is not said is for a slapd with the people of corp.ldif. */
  readonly corp: Record<string, unknown>
  readonly deadlineMs?: number
  /** Further parts of the configuration. */
  readonly config?: Record<string, unknown>
  /** Backends before the directory. */
  readonly before?: readonly object[]
  /** Is the directory well when the daemon starts? Then its pools are filled for the baseline. */
  readonly well?: boolean
  readonly env?: Record<string, string>
  /** Stands before the daemon's command line. */
  readonly prefix?: readonly string[]
}

export const LOCAL = { uid: 'break-glass', password: 'canary-local-a long secret 1' }
export const POOL = { search: 2, bind: 8 }
/** At least, before a fault and beside one. */
const LOCAL_LOGINS = 20

const folders: string[] = []
process.once('exit', () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-fault-'))
  folders.push(folder)
  return folder
}

export async function openScene(t: TestScope, options: SceneOptions): Promise<Scene> {
  const { deadlineMs = 1_000, well = true } = options
  const cwd = newFolder()
  const config = await writeConfig(cwd, options, deadlineMs)
  const daemon = await startDaemon(t, { config, cwd, ...pick(options, ['env', 'prefix']) })
  const pid = daemon.process.pid ?? 0
  const canary = `canary-${randomBytes(6).toString('hex')}`
  const attempts: Attempt[] = []
  let faulted = false
  let guesses = 0

  async function attempt(person: Person, password: 'right' | 'wrong'): Promise<Attempt> {
    const right = password === 'right'
    const secret = right ? person.password : `${canary}-${++guesses}`
    const whileFaulted = faulted
    const started = performance.now()
    const crowded = crowdedMs()
    const answer = await post(daemon.url, { username: person.uid, password: secret })
    const made: Attempt = {
      name: person.uid,
      right,
      status: answer.status,
      ms: performance.now() - started,
      crowdedMs: crowdedMs() - crowded,
      requestId: answer.requestId,
      code: answer.code,
      retryAfter: answer.retryAfter,
      faulted: whileFaulted,
    }
    attempts.push(made)
    return made
  }

  async function metrics(): Promise<string> {
    const response = await fetch(`${daemon.adminUrl}/metrics`, { headers: { connection: 'close' } })
    return response.text()
  }

  async function vitals(): Promise<Vitals> {
    // Each look at the metrics starts the daemon's histogram of its loop afresh.
    const seconds = /^nodejs_eventloop_lag_p99_seconds (\S+)$/m.exec(await metrics())?.[1]
    return {
      rssBytes: residentBytes(pid),
      descriptors: openDescriptors(pid),
      loopP99Ms: Number(seconds) * 1_000,
    }
  }

  const lineOf = (requestId: string) =>
    daemon.lines.find(({ request_id, verdict }) => request_id === requestId && verdict !== undefined) ?? {}
  const stepsOf = ({ steps }: Record<string, unknown>) => (steps ?? []) as Step[]
  const localLogin = () => attempt(LOCAL, 'right')
  // A warm daemon: connections open, code compiled.
  for (let round = 1; round <= 3; round++) {
    if (well) await Promise.all(Array.from({ length: 10 }, () => attempt(corpPeople.nomail, 'right')))
    await localLogin()
  }
  await vitals()
  for (let count = 0; count < LOCAL_LOGINS; count++) await localLogin()
  const baseline = await vitals()
  // The first ones of all were those of a cold daemon.
  const localBefore = attempts.slice(-LOCAL_LOGINS)
  let during = baseline

  return {
    daemon,
    cwd,
    configText: () => readFileSync(config, 'utf8'),
    attempts,
    localBefore,
    canary,
    deadlineMs,
    baseline,
    get duringFault() {
      return during
    },
    login: (person, password = 'right') => attempt(person, password),
    localLogin,
    async fault(work, end = () => {}) {
      faulted = true
      forgetPeak(pid)
      await vitals()
      let over = false
      const unaffected = (async () => {
        for (let logins = 0; !over || logins < LOCAL_LOGINS; logins++) {
          await localLogin()
          const alive = await fetch(`${daemon.url}/livez`, { headers: { connection: 'close' } })
          await alive.body?.cancel()
          if (alive.status !== 200) throw new Error(`liveness is ${alive.status}`)
          await pause(20)
        }
      })()
      try {
        await work()
      } finally {
        over = true
        await unaffected
        during = await vitals()
        faulted = false
        await end()
      }
    },
    async recovery(person) {
      const started = performance.now()
      for (;;) {
        const { status } = await attempt(person, 'right')
        const ms = performance.now() - started
        if (status === 200) return ms
        if (ms > 20_000) return ms
        await pause(50)
      }
    },
    async settled() {
      const last = attempts.at(-1)
      if (last)
        await daemon.line(({ request_id, verdict }) => request_id === last.requestId && verdict !== undefined)
    },
    durations(backend) {
      const duration = (line: Record<string, unknown>) =>
        backend === undefined ? line.ms : stepsOf(line).find(step => step.backend === backend)?.ms
      return new Map(
        daemon.lines.flatMap(line => {
          const ms = duration(line)
          return ms === undefined ? [] : [[String(line.request_id), Number(ms)] as const]
        }),
      )
    },
    stepOf: ({ requestId }, backend = 'corp') =>
      stepsOf(lineOf(requestId)).find(step => step.backend === backend),
    tale: attempts =>
      attempts
        .filter(({ status }) => status !== 200)
        .map(({ requestId }) => JSON.stringify(stepsOf(lineOf(requestId))))
        .join(' '),
    everything: () => JSON.stringify(daemon.lines) + daemon.stderr(),
    metrics,
  }
}

/** What a fault must have been for: attempts with right and wrong passwords in turn, so many at a time. */
export async function attemptsOf(
  scene: Scene,
  person: Person,
  count = 8,
  together = 4,
): Promise<readonly Attempt[]> {
  const made: Attempt[] = []
  for (let done = 0; done < count; done += together) {
    const batch = Array.from({ length: Math.min(together, count - done) }, (_, index) =>
      scene.login(person, index % 2 === 0 ? 'right' : 'wrong'),
    )
    made.push(...(await Promise.all(batch)))
  }
  return made
}

async function writeConfig(cwd: string, options: SceneOptions, deadlineMs: number): Promise<string> {
  const corp = {
    id: 'corp',
    type: 'ldap',
    preset: 'openldap',
    timeout: `${deadlineMs}ms`,
    connect_timeout: `${deadlineMs / 2}ms`,
    operation_timeout: `${deadlineMs / 2}ms`,
    base_dn: 'dc=corp,dc=example',
    bind: { dn: 'cn=gatehouse,ou=services,dc=corp,dc=example', password_file: join(cwd, 'service-password') },
    username_filter: [`!${LOCAL.uid}`],
    pool: POOL,
    ...options.corp,
  }
  writeFileSync(join(cwd, 'service-password'), 'gatehouse-secret-1\n', { mode: 0o600 })
  mkdirSync(join(cwd, 'data'))
  copyFileSync(await localUsers(), join(cwd, 'data/gatehouse.db'))
  const file = join(cwd, 'gatehouse.yaml')
  const config = {
    listen: { host: '127.0.0.1', port: 0 },
    admin: { host: '127.0.0.1', port: 0 },
    database: 'data/gatehouse.db',
    // Each attempt is looked for in it.
    log: { level: 'info', format: 'json', max_per_second: 1_000_000 },
    // Not asked about the directory's people, whom it would hash a password for each time that the directory has no answer:
    // that would slow down its own as any crowd does, whatever the fault.
    backends: [...(options.before ?? []), corp, { id: 'local', type: 'local', username_filter: [LOCAL.uid] }],
    ...options.config,
  }
  // JSON is YAML.
  writeFileSync(file, JSON.stringify(config))
  return file
}

let database: Promise<string> | undefined

/** A database with the one local user in it, made once for all scenes of a process. */
function localUsers(): Promise<string> {
  database ??= (async () => {
    const cwd = newFolder()
    const config = join(cwd, 'gatehouse.yaml')
    writeFileSync(config, 'database: gatehouse.db\nbackends: [{ id: local, type: local }]\n')
    const added = await runCommand(['user', 'add', LOCAL.uid, '--password-stdin', '--config', config], {
      cwd,
      input: `${LOCAL.password}\n`,
    })
    if (added.code !== 0) throw new Error(added.stderr)
    return join(cwd, 'gatehouse.db')
  })()
  return database
}

/** On a connection of its own that ends with the answer, so that the daemon's descriptors are its own affair. */
function post(
  url: string,
  body: object,
): Promise<Pick<Attempt, 'status' | 'requestId' | 'code' | 'retryAfter'>> {
  return new Promise((resolve, reject) => {
    const sent = request(
      `${url}/authenticate`,
      { method: 'POST', agent: false, headers: { 'content-type': 'application/json', connection: 'close' } },
      response => {
        let text = ''
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part
        })
        response.on('end', () => {
          const { 'x-request-id': requestId, 'retry-after': seconds } = response.headers
          resolve({
            status: response.statusCode ?? 0,
            requestId: String(requestId),
            code: JSON.parse(text).code,
            retryAfter: seconds === undefined ? undefined : Number(seconds),
          })
        })
        response.on('error', reject)
      },
    )
    sent.on('error', reject)
    sent.end(JSON.stringify(body))
  })
}

function pick<T extends object, K extends keyof T>(from: T, keys: readonly K[]): Partial<Pick<T, K>> {
  return Object.fromEntries(
    keys.flatMap(key => (from[key] === undefined ? [] : [[key, from[key]]])),
  ) as Partial<Pick<T, K>>
}
