/**
 * What it costs to write one attempt down: microseconds of CPU for its audit row, its line in the log, its counts and the watch for
 * sprays. Each figure comes from a process of its own, which does nothing else.
 *
 *   node bench/writing.ts [--seconds 2] [--rounds 3] [--rows 'audit accepted,log accepted'] [--in-flight 1,16,64]
 */
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createAudit } from '../src/audit.ts'
import type { AttemptEvent } from '../src/authentication/attempt-event.ts'
import { systemClock } from '../src/authentication/clock.ts'
import type { Lease, Lockout } from '../src/authentication/lockout.ts'
import type { Log } from '../src/authentication/log.ts'
import { createUserHash } from '../src/authentication/user-hash.ts'
import { createAttemptLog } from '../src/observe/attempt-log.ts'
import { createLog } from '../src/observe/log.ts'
import { createMetrics, type Reading } from '../src/observe/metrics.ts'
import { createSprayWatch } from '../src/observe/spray-watch.ts'

/** In microseconds of CPU for each attempt; the process has more threads than these two, so that the parts are less than `all`. */
interface Cost {
  readonly main: number
  /** Of every thread. */
  readonly all: number
  /** How long it took, in milliseconds. */
  readonly p50: number
  readonly perSecond: number
}

type MakeEvent = (n: number) => AttemptEvent
type Write = (event: AttemptEvent) => Promise<unknown> | undefined

const PEOPLE = 10_000
const SECRET = new Uint8Array(32).fill(7)
/** Attempts that are not counted. */
const WARM_UP = 5_000

const accepted: MakeEvent = n => ({
  requestId: randomUUID(),
  caller: 'wiki',
  address: `192.0.2.${n % 250}`,
  username: `person${n % PEOPLE}`,
  subject: `corp:6f1c2e1e-0000-4000-8000-${String(n % PEOPLE).padStart(12, '0')}`,
  verdict: 'accepted',
  steps: [{ backend: 'corp', outcome: 'accept', durationMs: 1.234567 + (n % 10) }],
  durationMs: 2.345678 + (n % 10),
  shared: false,
  locked: false,
})

const lockedOut: MakeEvent = n => ({
  requestId: randomUUID(),
  caller: 'wiki',
  address: `192.0.2.${n % 250}`,
  username: `person${n % 16}`,
  verdict: 'locked_out',
  steps: [],
  durationMs: 0.123456,
  shared: false,
  locked: false,
})

const audit = (event: MakeEvent) => ({
  event,
  async open(folder: string): Promise<{ write: Write; close(): Promise<void> }> {
    const settings = { file: join(folder, 'audit.db'), retentionMs: 86_400_000 }
    const config = { audit: { enabled: true, names: 'known', onFailure: 'deny', ...settings } } as const
    const trail = createAudit(config, { hashUser: createUserHash(SECRET), log: silent })
    await trail.begin()
    const write: Write = async event => {
      if (!(await trail.record(event))) throw new Error('a row was not written')
    }
    return { write, close: () => trail.close() }
  },
})

/** The same between other work, as a daemon has it: a reply of another process is waited for, and then some computing done. */
const auditAmongWork = (event: MakeEvent) => ({
  event,
  async open(folder: string): Promise<{ write: Write; close(): Promise<void> }> {
    const path = join(folder, 'echo.sock')
    const echo = spawn(process.execPath, ['-e', ECHO, path], { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(echo.stdout, 'data')
    const idle: Peer[] = []
    const peers: Peer[] = []
    const { write, close } = await audit(event).open(folder)
    return {
      async write(event) {
        const peer = idle.pop() ?? openPeer(path)
        if (!peers.includes(peer)) peers.push(peer)
        await peer.ask()
        idle.push(peer)
        for (const until = performance.now() + WORK_MS; performance.now() < until; );
        await write(event)
      },
      async close() {
        for (const peer of peers) peer.end()
        echo.kill()
        await close()
      },
    }
  },
})

type Peer = ReturnType<typeof openPeer>

function openPeer(path: string) {
  const socket = connect(path)
  let heard = () => {}
  socket.on('data', () => heard())
  return {
    ask: () =>
      new Promise<void>(resolve => {
        heard = resolve
        socket.write('?')
      }),
    end: () => socket.destroy(),
  }
}

const ECHO = `require('node:net').createServer(peer => peer.pipe(peer)).listen(process.argv[1], () => console.log())`
/** Of one login beside what is measured here. */
const WORK_MS = 0.1

const log = (event: MakeEvent, maxPerSecond: number) => ({
  event,
  async open() {
    const output = createLog({ level: 'info', format: 'json', maxPerSecond }, { isTty: false, color: false })
    const attemptLog = createAttemptLog(output.log, SECRET)
    return { write: (event: AttemptEvent) => void attemptLog(event), close: output.close }
  },
})

const metrics = (event: MakeEvent) => ({
  event,
  async open() {
    const { onAttempt } = createMetrics(() => ({}) as Reading)
    return { write: (event: AttemptEvent) => void onAttempt(event), close: async () => {} }
  },
})

const sprays = (event: MakeEvent) => ({
  event,
  async open() {
    const lease: Lease = {
      claim: async () => ({ admitted: true }),
      commit: async () => ({ locked: false }),
      release: async () => {},
    }
    const admit = async () => ({ admitted: true, lease, ignored: false }) as const
    const refuse = async () => ({ admitted: false, reason: 'locked', retryAfterMs: 1_000 }) as const
    const isOpen = event(0).verdict === 'accepted'
    const watch = createSprayWatch({ clock: systemClock, log: silent, onSpray: () => {} })
    const watched = watch({ reserve: isOpen ? admit : refuse } as unknown as Lockout)
    let lastTag = 0
    const write: Write = async ({ username = '', address, caller }) => {
      const tag = (lastTag + 1) % 65_536
      lastTag = tag
      const asker = { name: username, address, caller, passwordTag: () => tag }
      const reservation = await watched.reserve(asker)
      if (reservation.admitted) {
        await reservation.lease.commit({ name: false, subjects: [], source: false, accepted: 'corp:1' })
      }
    }
    return { write, close: async () => {} }
  },
})

/** Subtracted from the others: the loop, and the making of the event. */
const nothing = (event: MakeEvent, write: Write) => ({
  event,
  open: async () => ({ write, close: async () => {} }),
})

const EVERY = 1_000_000
/** The default of `log.max_per_second`. */
const FEW = 200
const ROWS = {
  'nothing accepted': nothing(accepted, () => undefined),
  'nothing locked out': nothing(lockedOut, () => undefined),
  'audit accepted': audit(accepted),
  'audit locked out': audit(lockedOut),
  'audit among work': auditAmongWork(accepted),
  'log accepted': log(accepted, EVERY),
  'log locked out': log(lockedOut, EVERY),
  'log accepted, limited': log(accepted, FEW),
  'log locked out, limited': log(lockedOut, FEW),
  'metrics accepted': metrics(accepted),
  'metrics locked out': metrics(lockedOut),
  'sprays accepted': sprays(accepted),
  'sprays locked out': sprays(lockedOut),
} as const
type Name = keyof typeof ROWS

const silent: Log = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  fatal: () => {},
  child: () => silent,
}

/** In the process of its own. */
async function measure(name: Name, inFlight: number, seconds: number): Promise<Cost> {
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-writing-'))
  const { event, open } = ROWS[name]
  const { write, close } = await open(folder)
  let done = 0
  let until = Number.POSITIVE_INFINITY
  const stopAt = (count: number) => done >= count || performance.now() >= until
  const took: number[] = []
  const lane = async (count: number) => {
    while (!stopAt(count)) {
      const writing = write(event(done++))
      if (writing !== undefined) {
        const since = performance.now()
        await writing
        took.push(performance.now() - since)
        continue
      }
      // What waits for nothing lets the event loop go round as it would between two requests that came together.
      if (done % 16 === 0) await new Promise(setImmediate)
    }
  }
  const lanes = (count: number) => Promise.all(Array.from({ length: inFlight }, () => lane(count)))
  until = performance.now() + 2_000
  await lanes(WARM_UP)
  done = 0
  took.length = 0
  const [began, main, all] = [performance.now(), process.threadCpuUsage(), process.cpuUsage()]
  until = began + seconds * 1_000
  await lanes(Number.POSITIVE_INFINITY)
  const lasted = (performance.now() - began) / 1_000
  const { user, system } = process.threadCpuUsage(main)
  const total = process.cpuUsage(all)
  await close()
  rmSync(folder, { recursive: true })
  return {
    main: (user + system) / done,
    all: (total.user + total.system) / done,
    p50: took.sort((a, b) => a - b)[took.length >> 1] ?? 0,
    perSecond: done / lasted,
  }
}

async function measureApart(name: Name, inFlight: number, seconds: number): Promise<Cost> {
  const args = [fileURLToPath(import.meta.url), '--only', name, String(inFlight), String(seconds)]
  // The log's reader is another process, as journald or a container's runtime would be.
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
  child.stdout?.resume()
  const [cost] = await once(child, 'message')
  await once(child, 'exit')
  return cost as Cost
}

function median(costs: readonly Cost[]): Cost {
  const of = (key: keyof Cost) => costs.map(cost => cost[key]).sort((a, b) => a - b)[costs.length >> 1] ?? 0
  return { main: of('main'), all: of('all'), p50: of('p50'), perSecond: of('perSecond') }
}

async function main(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seconds: { type: 'string', default: '2' },
      rounds: { type: 'string', default: '3' },
      rows: { type: 'string', default: Object.keys(ROWS).join(';') },
      'in-flight': { type: 'string', default: '1,16,64' },
    },
  })
  const names = values.rows.split(';').filter((name): name is Name => name in ROWS)
  const numbers = values['in-flight'].split(',').map(Number)
  process.stdout.write('what                     in flight   main µs  others µs     p50 ms  per second\n')
  for (const name of names) {
    for (const inFlight of name.startsWith('audit') ? numbers : [1]) {
      const costs: Cost[] = []
      for (let round = 0; round < Number(values.rounds); round++) {
        costs.push(await measureApart(name, inFlight, Number(values.seconds)))
      }
      const { main, all, p50, perSecond } = median(costs)
      const cells = [main.toFixed(1), (all - main).toFixed(1), p50.toFixed(2), perSecond.toFixed(0)]
      process.stdout.write(
        `${name.padEnd(25)}${String(inFlight).padStart(9)}${cells.map(cell => cell.padStart(11)).join('')}\n`,
      )
    }
  }
}

const [first, name, inFlight, seconds] = process.argv.slice(2)
if (first === '--only') {
  const cost = await measure(name as Name, Number(inFlight), Number(seconds))
  process.send?.(cost)
  process.disconnect?.()
} else await main(process.argv.slice(2))
