import { type ChildProcess, spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { TestScope } from '../support/slapd.ts'

/** A daemon of which every octet that comes out is kept, in whatever format it logs. */
export interface WatchedDaemon {
  readonly url: string
  readonly adminUrl: string
  readonly process: ChildProcess
  /** All of standard output and error so far. */
  output(): string
  /** All replies so far, heads included. */
  replies(): string
  /** Sends these octets on a connection of their own; what came back until it ended. */
  send(octets: string | Buffer, how?: SendOptions): Promise<string>
  /** One request; the reply, head included. */
  ask(request: Ask): Promise<string>
  /** POST /authenticate; the status. */
  login(username: string, password: string, headers?: Record<string, string>): Promise<number>
  /** The first match in the output, also one still to come. */
  said(pattern: RegExp): Promise<RegExpExecArray>
  /** The exit code; null if a signal ended it. */
  stop(signal?: NodeJS.Signals): Promise<number | null>
  /** Resolves with the exit code when it ends by itself. */
  readonly ended: Promise<number | null>
}

export interface SendOptions {
  /** To the admin listener instead. */
  readonly admin?: boolean
  /** Hang up right after the last octet, without waiting for a reply. */
  readonly hangUp?: boolean
}

export interface Ask {
  readonly method?: string
  readonly path?: string
  readonly headers?: Record<string, string>
  readonly body?: string | Buffer
  readonly admin?: boolean
}

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const STARTS_WITHIN_MS = 20_000

/** Starts `gatehouse serve`, and kills it when the test ends. */
export async function startWatchedDaemon(
  t: TestScope,
  {
    config,
    cwd,
    env = {},
    nodeArgs = [],
    headers: always = {},
  }: {
    readonly config: string
    readonly cwd: string
    readonly env?: Record<string, string>
    readonly nodeArgs?: readonly string[]
    /** Of every request of `ask` and `login`. */
    readonly headers?: Record<string, string>
  },
): Promise<WatchedDaemon> {
  const child = spawn(process.execPath, [...nodeArgs, MAIN, 'serve', '--config', config], {
    cwd,
    // As its users run it, without what the test runner loads into every process.
    env: { ...process.env, NODE_OPTIONS: '', ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  const output: Buffer[] = []
  const replies: Buffer[] = []
  const more = new EventEmitter().setMaxListeners(0)
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', piece => {
      output.push(piece)
      more.emit('more')
    })
  }
  const ended = once(child, 'close').then(([code]) => code as number | null)

  async function said(pattern: RegExp): Promise<RegExpExecArray> {
    const giveUp = AbortSignal.timeout(STARTS_WITHIN_MS)
    const over = ended.then(() => 'over' as const)
    for (;;) {
      const found = pattern.exec(Buffer.concat(output).toString())
      if (found) return found
      const next = await Promise.race([once(more, 'more', { signal: giveUp }), over])
      if (next === 'over' && !pattern.test(Buffer.concat(output).toString())) {
        throw new Error(`the daemon ended without having said ${pattern}: ${Buffer.concat(output)}`)
      }
    }
  }

  const [, url = '', adminUrl = ''] = await said(/"url": ?"(http[^"]+)","admin": ?"(http[^"]+)"/)

  async function send(octets: string | Buffer, { admin, hangUp }: SendOptions = {}): Promise<string> {
    const { hostname, port } = new URL(admin ? adminUrl : url)
    const socket = connect(Number(port), hostname)
    const received: Buffer[] = []
    // A connection that is reset is one of the ways.
    socket.on('error', () => {}).on('data', (piece: Buffer) => received.push(piece))
    const closed = once(socket, 'close')
    socket.write(octets, () => {
      if (hangUp) socket.destroy()
    })
    await closed
    const reply = Buffer.concat(received)
    replies.push(reply)
    return reply.toString()
  }

  async function ask({
    method = 'POST',
    path = '/authenticate',
    headers = {},
    body = '',
    admin = false,
  }: Ask) {
    const fields = {
      host: new URL(admin ? adminUrl : url).host,
      connection: 'close',
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(body)),
      ...(admin ? {} : always),
      ...headers,
    }
    const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`)
    const head = Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`)
    return send(Buffer.concat([head, typeof body === 'string' ? Buffer.from(body) : body]), { admin })
  }

  return {
    url,
    adminUrl,
    process: child,
    output: () => Buffer.concat(output).toString(),
    replies: () => Buffer.concat(replies).toString(),
    send,
    ask,
    async login(username, password, headers = {}) {
      return statusOf(await ask({ headers, body: JSON.stringify({ username, password }) }))
    },
    said,
    ended,
    async stop(signal = 'SIGTERM') {
      child.kill(signal)
      return ended
    },
  }
}

/** 0 if there is none. */
export function statusOf(reply: string): number {
  return Number(/^HTTP\/1\.1 (\d{3}) /.exec(reply)?.[1] ?? 0)
}
