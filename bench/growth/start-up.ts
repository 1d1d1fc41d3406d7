/** From the start of the process to the moment at which it serves. */
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { get } from 'node:http'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { quietPort } from '../../test/support/quiet-port.ts'
import { runSlapd } from '../../test/support/slapd.ts'
import { startDaemon } from '../daemon.ts'
import { cpuSeconds } from '../usage.ts'
import { groundLdif, plainBackend } from './directory.ts'
import type { Figure, Row, Scope } from './row.ts'

const EMBEDDED = [
  { id: 'email', type: 'email' },
  { id: 'local', type: 'local' },
]
const LOOK_EVERY_MS = 2
const GIVE_UP_MS = 20_000

export async function startUp(scope: Scope): Promise<readonly Row[]> {
  const ldif = join(scope.folder, 'people.ldif')
  await writeFile(ldif, groundLdif())
  const slapd = await runSlapd({ directory: join(scope.folder, 'slapd'), ldif, logs: 'none' })
  try {
    const rows: Row[] = []
    for (const [size, backends] of [
      ['`email` and `local`', EMBEDDED],
      ['one directory', [plainBackend(slapd)]],
    ] as const) {
      scope.say(size)
      rows.push({ question: 'Start-up', size, figures: await starts(scope, backends) })
    }
    return rows
  } finally {
    await slapd.stop('SIGKILL')
  }
}

async function starts(scope: Scope, backends: readonly object[]): Promise<readonly Figure[]> {
  const folder = join(scope.folder, `daemon-${backends.length}`)
  // The first one makes the database, and none of the ten thousand after it does.
  await start(folder, backends)
  const all: Start[] = []
  for (let times = 0; times < (scope.short ? 1 : 11); times++) all.push(await start(folder, backends))
  const median = (of: (one: Start) => number) => all.map(of).sort((a, b) => a - b)[all.length >> 1] ?? 0
  return [
    { name: 'until `/readyz` says 200', value: median(({ readyMs }) => readyMs), unit: 'ms' },
    { name: 'until `sys_startup`', value: median(({ saidMs }) => saidMs), unit: 'ms' },
    { name: 'CPU until then', value: median(({ cpuMs }) => cpuMs), unit: 'ms' },
  ]
}

interface Start {
  readonly readyMs: number
  readonly saidMs: number
  readonly cpuMs: number
}

async function start(folder: string, backends: readonly object[]): Promise<Start> {
  const port = quietPort()
  const began = performance.now()
  const beganAtMs = Date.now()
  const [readyAt, daemon] = await Promise.all([ready(port), startDaemon({ folder, backends, port })])
  const cpuMs = cpuSeconds([daemon.pid]) * 1_000
  await daemon.stop()
  return { readyMs: readyAt - began, saidMs: daemon.startedAtMs - beganAtMs, cpuMs }
}

/** When it was, by `performance.now()`. */
async function ready(port: number): Promise<number> {
  const giveUpMs = performance.now() + GIVE_UP_MS
  for (;;) {
    if ((await statusOf(port)) === 200) return performance.now()
    if (performance.now() > giveUpMs) throw new Error('the daemon did not become ready')
    await pause(LOOK_EVERY_MS)
  }
}

async function statusOf(port: number): Promise<number | undefined> {
  const request = get({ host: '127.0.0.1', port, path: '/readyz', agent: false })
  try {
    const [response] = await once(request, 'response')
    response.resume()
    return response.statusCode
  } catch {
    return undefined
  }
}
