import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
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
  /** What it said outside of its log. */
  stderr(): string
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
const READY_WITHIN_MS = 20_000

/** Starts `gatehouse serve` and resolves when it says that it serves. Its log must be JSON (`log: { format: json }`). */
export async function startDaemon(
  t: TestScope,
  { config, cwd, env = {} }: { config?: string; cwd: string; env?: Record<string, string> },
): Promise<Daemon> {
  const child = spawn(
    process.execPath,
    [MAIN, 'serve', ...(config === undefined ? [] : ['--config', config])],
    {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  t.teardown(() => child.kill('SIGKILL'))
  const ended = once(child, 'exit')
  const lines: Record<string, unknown>[] = []
  let stderr = ''
  child.stderr?.setEncoding('utf8').on('data', text => {
    stderr += text
  })
  const started = await new Promise<Record<string, unknown>>((resolve, reject) => {
    const tooLate = setTimeout(
      () => reject(new Error(`not serving after ${READY_WITHIN_MS} ms: ${stderr}`)),
      READY_WITHIN_MS,
    )
    let rest = ''
    child.stdout?.setEncoding('utf8').on('data', text => {
      const complete = (rest + text).split('\n')
      rest = complete.pop() ?? ''
      for (const line of complete) {
        const parsed = parseLine(line)
        lines.push(parsed)
        if (parsed['event'] === 'sys_startup') {
          clearTimeout(tooLate)
          resolve(parsed)
        }
      }
    })
    ended.then(([code]) => {
      clearTimeout(tooLate)
      reject(new Error(`ended with ${code}: ${stderr}${JSON.stringify(lines)}`))
    }, reject)
  })
  const url = String(started['url'])
  return {
    url,
    adminUrl: String(started['admin']),
    process: child,
    lines,
    stderr: () => stderr,
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
