/** Connections of apps: all of them busy, and very many that only stay open while a few are busy. */
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { defaultLimits } from '../../src/http/limits.ts'
import { runSlapd } from '../../test/support/slapd.ts'
import { type BenchDaemon, startDaemon } from '../daemon.ts'
import { loginRequest } from '../login-request.ts'
import { residentMiB } from '../usage.ts'
import { groundLdif, passwordOf, personLdif, plainBackend } from './directory.ts'
import { addressOf, LIVEZ, load } from './load.ts'
import { count, type Figure, type Row, type Scope } from './row.ts'

const PEOPLE = 500
/** Those that log people in beside the idle ones. */
const LOGINS_AT_ONCE = 16
/** Not so many at once that the kernel's queue of new connections runs over. */
const DIALLED_AT_ONCE = 100

export async function connections(scope: Scope): Promise<readonly Row[]> {
  const ldif = join(scope.folder, 'people.ldif')
  const uids = Array.from({ length: PEOPLE }, (_, index) => `user${index}`)
  await writeFile(ldif, [groundLdif(), ...uids.map(uid => personLdif(uid))].join('\n'))
  const slapd = await runSlapd({ directory: join(scope.folder, 'slapd'), ldif, logs: 'none' })
  const requests = uids.map((username, index) =>
    loginRequest(username, passwordOf(username), addressOf(index)),
  )
  const rows: Row[] = []
  try {
    for (const size of scope.short ? [1, 1_000] : [1, 10, 100, 1_000, 4_000, 10_000]) {
      const folder = join(scope.folder, `daemon-${size}`)
      const daemon = await startDaemon({ folder, backends: [plainBackend(slapd)] })
      try {
        scope.say(`${count(size)} connections`)
        const idle = await besideIdle(scope, daemon, size, requests)
        const busy = await allBusy(scope, daemon, size)
        rows.push({ question: 'Connections that are idle', size: count(size), figures: idle })
        rows.push({ question: 'Connections that are busy', size: count(size), figures: busy })
      } finally {
        await daemon.stop('SIGKILL')
      }
    }
  } finally {
    await slapd.stop('SIGKILL')
  }
  return rows
}

/** All ask for as little as there is, so that only connections cost something. */
async function allBusy(scope: Scope, daemon: BenchDaemon, size: number): Promise<readonly Figure[]> {
  if (size > defaultLimits.connections) return [{ name: 'replies', value: 'beyond the limit', unit: '1/s' }]
  const measured = await load(toLoad(scope, daemon, size, [LIVEZ]), ['200'])
  return [
    { name: 'replies', value: measured.replies / measured.seconds, unit: '1/s' },
    { name: 'p50', value: measured.p50 / 1_000, unit: 'ms' },
    { name: 'p99', value: measured.p99 / 1_000, unit: 'ms' },
    { name: 'CPU of the daemon a reply', value: measured.cpuMicros, unit: 'µs' },
  ]
}

async function besideIdle(
  scope: Scope,
  daemon: BenchDaemon,
  size: number,
  requests: readonly Buffer[],
): Promise<readonly Figure[]> {
  // Warm, or its own growth would be taken for that of connections.
  await load(toLoad(scope, daemon, LOGINS_AT_ONCE, requests), ['200'])
  const before = residentMiB([daemon.pid])
  const sockets = await openIdle(daemon, size)
  const open = sockets.filter(({ destroyed }) => !destroyed).length
  const each = ((residentMiB([daemon.pid]) - before) * 1_024) / open
  const opened: Figure[] = [
    { name: 'kept open', value: open, unit: '' },
    // A few connections hide in what was there before.
    { name: 'RSS a connection', value: open < 100 ? '–' : each, unit: 'KiB' },
  ]
  try {
    if (size > defaultLimits.connections) {
      if (open > defaultLimits.connections) throw new Error(`${open} connections are open`)
      return opened
    }
    if (open !== size) throw new Error(`of ${size} connections ${size - open} were closed`)
    const measured = await load(toLoad(scope, daemon, LOGINS_AT_ONCE, requests), ['200'])
    return [
      ...opened,
      { name: 'logins beside them', value: measured.replies / measured.seconds, unit: '1/s' },
      { name: 'p50', value: measured.p50 / 1_000, unit: 'ms' },
      { name: 'CPU of the daemon a login', value: measured.cpuMicros, unit: 'µs', flatAbove: 100 },
    ]
  } finally {
    const closed = sockets.filter(({ closed }) => !closed).map(socket => once(socket, 'close'))
    for (const socket of sockets) socket.destroy()
    await Promise.all(closed)
  }
}

function toLoad(scope: Scope, daemon: BenchDaemon, size: number, requests: readonly Buffer[]) {
  const { clients, folder } = scope
  const { address, pid } = daemon
  const [warmUp, seconds] = scope.short ? [0.3, 0.7] : [3, 5]
  return { clients, folder, address, pid, connections: size, warmUp, seconds, requests }
}

/** Each has had one reply: who never asks for anything is cut after seconds. */
async function openIdle(daemon: BenchDaemon, size: number): Promise<readonly Socket[]> {
  const sockets: Socket[] = []
  while (sockets.length < size) {
    const more = Array.from({ length: Math.min(DIALLED_AT_ONCE, size - sockets.length) }, () => dial(daemon))
    sockets.push(...(await Promise.all(more)))
  }
  return sockets
}

function dial({ address }: BenchDaemon): Promise<Socket> {
  const [host, port] = address.split(':')
  return new Promise(resolve => {
    const socket = connect(Number(port), host, () => socket.write(LIVEZ))
    const settled = () => resolve(socket)
    socket.once('data', settled).once('close', settled)
    socket.on('error', () => {})
  })
}
