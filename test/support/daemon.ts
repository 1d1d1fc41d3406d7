import { type ChildProcess, spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { stripVTControlCharacters } from 'node:util'
import type { TestScope } from './slapd.ts'

/** The daemon as its users run it: a process of its own, told what to do by its command line and signals. */
export interface Daemon {
  readonly url: string
  readonly adminUrl: string
  readonly process: ChildProcess
  /** Its log so far, a JSON object a line. */
  readonly lines: readonly Record<string, unknown>[]
  /** The first line of its log that fits, also one still to come. */
  line(fits: (line: Record<string, unknown>) => boolean): Promise<Record<string, unknown>>
  /** What it said outside of its log. */
  stderr(): string
  /** The first match in what it said outside of its log, also one still to come. */
  said(pattern: RegExp): Promise<RegExpExecArray>
  authenticate(username: string, password: string, headers?: Record<string, string>): Promise<Answer>
  /** Sends the signal and gives the exit code, null if a signal ended it. */
  stop(signal?: NodeJS.Signals): Promise<number | null>
}

export interface Answer {
  readonly status: number
  readonly headers: Headers
  /** The parsed JSON. */
  readonly body: Record<string, unknown>
  readonly text: string
}

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const ANSWERS_WITHIN_MS = 20_000

/** Starts `gatehouse serve` and resolves when it says that it serves. Its log must be JSON (`log: { format: json }`). */
export async function startDaemon(
  t: TestScope,
  {
    config,
    cwd,
    env = {},
    prefix = [],
  }: {
    config?: string
    cwd: string
    env?: Record<string, string>
    /** Stands before the command line, as in `prlimit --nofile=64`; it must become the daemon and not its parent. */
    prefix?: readonly string[]
  },
): Promise<Daemon> {
  const serve = [process.execPath, MAIN, 'serve', ...(config === undefined ? [] : ['--config', config])]
  const [command = process.execPath, ...args] = [...prefix, ...serve]
  const child = spawn(command, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  const ended = once(child, 'exit')
  const lines: Record<string, unknown>[] = []
  let stderr = ''
  const outputs = new EventEmitter().setMaxListeners(0)
  child.stderr?.setEncoding('utf8').on('data', text => {
    stderr += text
    outputs.emit('more')
  })
  createInterface({ input: child.stdout ?? process.stdin }).on('line', line => {
    lines.push(parseLine(line))
    outputs.emit('more')
  })

  /** Looks now and at each new piece of output, until there is something, the daemon ends or the time is up. */
  async function until<T>(look: () => T | null | undefined): Promise<T> {
    const giveUp = AbortSignal.timeout(ANSWERS_WITHIN_MS)
    const over = ended.then(([code]) => {
      throw new Error(`the daemon ended with ${code}: ${stderr}${JSON.stringify(lines)}`)
    })
    over.catch(() => {})
    for (;;) {
      const found = look()
      if (found) return found
      await Promise.race([once(outputs, 'more', { signal: giveUp }), over])
    }
  }

  const line = (fits: (line: Record<string, unknown>) => boolean) => until(() => lines.find(fits))
  const started = await line(({ event }) => event === 'sys_startup')
  const url = String(started.url)
  return {
    url,
    adminUrl: String(started.admin),
    process: child,
    lines,
    line,
    stderr: () => stderr,
    said: pattern => until(() => pattern.exec(stderr)),
    authenticate: (username, password, headers = {}) => authenticate(url, { username, password }, headers),
    async stop(signal = 'SIGTERM') {
      child.kill(signal)
      const [code] = await ended
      return code as number | null
    },
  }
}

/** POST /authenticate with this body. */
export async function authenticate(
  url: string,
  body: object,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(`${url}/authenticate`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
  const text = await response.text()
  return { status: response.status, headers: response.headers, text, body: JSON.parse(text) }
}

/** Runs one command to its end. */
export async function runCommand(
  args: readonly string[],
  { cwd, env = {}, input = '' }: { cwd: string; env?: Record<string, string>; input?: string },
): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: 60_000,
  })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', text => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', text => {
    stderr += text
  })
  child.stdin.on('error', () => {}).end(input)
  const [code] = await once(child, 'close')
  return { code, stdout, stderr }
}

function parseLine(line: string): Record<string, unknown> {
  try {
    return JSON.parse(line)
  } catch {
    return { unparsed: stripVTControlCharacters(line) }
  }
}
