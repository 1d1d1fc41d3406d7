import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { createClient } from '@redis/client'
import { type CertificateAuthority, createCertificateAuthority } from './certificate-authority.ts'
import { type DebianProgram, provideDebianProgram } from './debian.ts'
import { provideFakeWall } from './faketime.ts'
import { quietPort } from './quiet-port.ts'
import type { TestScope } from './slapd.ts'

/** A Redis of the test's own, in its own folder, which keeps nothing on disk. */
export interface Redis {
  /** Plain, on loopback. */
  readonly url: string
  /** Only with `tls`. */
  readonly tlsUrl: string
  readonly ca: string
  readonly password: string
  /** Its wall clock stands still, but for this. */
  advance(durationMs: number): void
  /** Any command, from outside of what is tested. */
  command(...words: string[]): Promise<unknown>
  /** Ends it; what it held is gone. Idempotent. */
  stop(): Promise<void>
  /** Starts it again, empty, on the same port. */
  start(): Promise<void>
  /** Takes connections and answers nothing, as a server that hangs. */
  freeze(): void
  thaw(): void
}

export interface RedisOptions {
  readonly tls?: boolean
  /** Further arguments of redis-server, such as `--maxclients 10`. */
  readonly args?: readonly string[]
}

/** Debian's redis-server: the system's, or one fetched for the tests. */
export function provideRedis(): Promise<DebianProgram> {
  return provideDebianProgram({
    name: 'redis-server',
    program: '/usr/bin/redis-server',
    // There the one is a link to a program of the other, which carries the server too.
    also: ['redis-tools'],
    probe: ['--version'],
  })
}

/** Gone when the test ends. */
export async function startRedis(t: TestScope, options: RedisOptions = {}): Promise<Redis> {
  const folder = await mkdtemp(join(tmpdir(), 'gatehouse-redis-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const [program, wall] = await Promise.all([provideRedis(), provideFakeWall(folder, { atOnce: true })])
  const authority = options.tls ? await createCertificateAuthority(join(folder, 'tls')) : undefined
  const tls = authority === undefined ? [] : await tlsArguments(authority)
  const password = 'correct horse battery staple'
  const logFile = join(folder, 'redis.log')
  let nowMs = Date.UTC(2026, 0, 1)
  wall.stopAt(nowMs)
  let child: ChildProcess | undefined

  async function startOn(port: number): Promise<void> {
    if (child !== undefined) return
    const log = await open(logFile, 'a')
    const files = ['--dir', folder, '--save', '', '--appendonly', 'no', '--databases', '1']
    const net = [
      '--bind',
      '127.0.0.1',
      '--port',
      `${port}`,
      ...(tls.length > 0 ? ['--tls-port', `${port + 1}`, ...tls] : []),
    ]
    const redis = [program.path, ...files, ...net, '--requirepass', password, ...(options.args ?? [])]
    // The kernel ends it with us, so that a test process that is killed leaves nothing running.
    const started = spawn('setpriv', ['--pdeathsig', 'KILL', ...redis], {
      // jemalloc asks for the time before libfaketime is ready, and both wait for ever: the C library's own malloc comes first.
      env: { ...process.env, ...program.env, ...wall.env, LD_PRELOAD: `${wall.env.LD_PRELOAD} libc.so.6` },
      stdio: ['ignore', log.fd, log.fd],
    })
    child = started
    started.once('exit', () => {
      if (child === started) child = undefined
    })
    const logged = (await log.stat()).size
    await log.close()
    while (!(await answers(port))) {
      if (child !== started) {
        throw new Error(`redis-server did not start:\n${(await readFile(logFile, 'utf8')).slice(logged)}`)
      }
      await pause(5)
    }
  }

  async function stop(): Promise<void> {
    const running = child
    if (running === undefined) return
    const exited = once(running, 'exit')
    running.kill('SIGKILL')
    await exited
  }

  const port = await onFreePort(startOn)
  t.teardown(stop)
  const url = `redis://127.0.0.1:${port}`
  return {
    url,
    tlsUrl: `rediss://localhost:${port + 1}`,
    ca: authority?.ca ?? '',
    password,
    advance(durationMs) {
      nowMs += durationMs
      wall.stopAt(nowMs)
    },
    async command(...words) {
      const client = createClient({ url, password, disableClientInfo: true })
      client.on('error', () => {})
      await client.connect()
      try {
        return await client.sendCommand(words)
      } finally {
        client.destroy()
      }
    },
    stop,
    start: () => startOn(port),
    freeze: () => child?.kill('SIGSTOP'),
    thaw: () => child?.kill('SIGCONT'),
  }
}

async function tlsArguments(authority: CertificateAuthority): Promise<readonly string[]> {
  const { certFile, keyFile } = await authority.issue()
  const files = [
    '--tls-cert-file',
    certFile,
    '--tls-key-file',
    keyFile,
    '--tls-ca-cert-file',
    authority.caFile,
  ]
  return [...files, '--tls-auth-clients', 'no']
}

/** Two servers that draw the same port draw again. */
async function onFreePort(start: (port: number) => Promise<void>): Promise<number> {
  for (let attempt = 1; ; attempt += 1) {
    const port = quietPort()
    try {
      await start(port)
      return port
    } catch (error) {
      if (attempt === 10 || !/address already in use/i.test(String(error))) throw error
    }
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}
