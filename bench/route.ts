/**
 * What the daemon adds to its own framework: replies to whoever is locked out, beside those of a bare Fastify route that reads and
 * answers the same JSON; and logins that a backend of no cost accepts. `node bench/route.ts [ROUNDS] [SECONDS] [CONNECTIONS] [CASE]`
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { cpSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Running } from './contender.ts'
import { bareRoute, startBareRoute } from './contenders/bare-route.ts'
import { loginRequest } from './login-request.ts'
import { compileClients, type Measured, packTexts, runClient } from './native.ts'
import { cpuSeconds, mainThreadSeconds } from './usage.ts'

const EXAMPLE = fileURLToPath(new URL('../examples/backend-static-list', import.meta.url))
/** Another tree to take the daemon from, to compare two of them. */
const MAIN = process.env.GATEHOUSE_MAIN ?? fileURLToPath(new URL('../src/main.ts', import.meta.url))
const NODE_ARGS = (process.env.GATEHOUSE_NODE_ARGS ?? '').split(' ').filter(Boolean)
const PASSWORD = 'right horse'
const PEOPLE = Array.from({ length: 1_000 }, (_, index) => `user${index}`)
/** Few enough that their source is not locked with them. */
const LOCKED = ['locked0', 'locked1', 'locked2', 'locked3']
const WARM_UP_S = 1

interface Case {
  readonly name: string
  readonly who: Running
  readonly requests: string
  readonly expected: string
}

interface Figure {
  readonly perSecond: number
  /** CPU of one reply, in microseconds: of the process, and of that its main thread. */
  readonly cpu: number
  readonly main: number
}

/** The daemon as shipped, its log in a file, and before it a backend that looks into a list. */
async function startGatehouse(folder: string): Promise<Running> {
  const digest = createHash('sha256').update(PASSWORD).digest('hex')
  cpSync(EXAMPLE, join(folder, 'list'), { recursive: true })
  const people = Object.fromEntries([...PEOPLE, ...LOCKED].map(name => [name, digest]))
  const config = {
    listen: { host: '127.0.0.1', port: 0 },
    admin: { host: '127.0.0.1', port: 0 },
    database: 'gatehouse.db',
    plugins: ['./list/index.js'],
    backends: [{ id: 'codes', type: './list/index.js', people }],
    log: { format: 'json' },
  }
  writeFileSync(join(folder, 'gatehouse.yaml'), JSON.stringify(config))
  const log = join(folder, 'log')
  const child = spawn(process.execPath, [...NODE_ARGS, MAIN, 'serve', '--config', 'gatehouse.yaml'], {
    cwd: folder,
    stdio: ['ignore', openSync(log, 'w'), 'inherit'],
  })
  const url = await startedAt(log)
  return {
    protocol: 'http',
    address: url.replace('http://', ''),
    request: loginRequest,
    accepted: '200',
    refused: '401',
    pids: [child.pid ?? 0],
    async stop() {
      child.kill()
      await once(child, 'exit')
    },
  }
}

async function startedAt(log: string): Promise<string> {
  for (let tries = 0; tries < 500; tries++) {
    const line = readFileSync(log, 'utf8').match(/^.*"sys_startup".*$/m)?.[0]
    if (line !== undefined) return JSON.parse(line).url
    await sleep(20)
  }
  throw new Error(`the daemon did not start: ${readFileSync(log, 'utf8')}`)
}

async function lockOut(gatehouse: Running): Promise<void> {
  for (const username of LOCKED) {
    for (let guess = 0; guess < 5; guess++) {
      await fetch(`http://${gatehouse.address}/authenticate`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ username, password: `wrong ${guess}` }),
      })
    }
  }
}

async function measure(client: string, { name, who, requests, expected }: Case): Promise<Figure> {
  const connections = process.argv[4] ?? '16'
  const args = [who.protocol, who.address, connections, String(WARM_UP_S), String(seconds), requests]
  const used = () => ({ cpu: cpuSeconds(who.pids), main: mainThreadSeconds(who.pids[0] ?? 0) })
  let [began, ended] = [used(), used()]
  const measured: Measured = await runClient(client, args, {
    onBegin: () => {
      began = used()
    },
    onEnd: () => {
      ended = used()
    },
  })
  const replies = measured.kinds[expected] ?? 0
  if (Object.keys(measured.kinds).length !== 1 || replies === 0) {
    throw new Error(`${name}: other replies than ${expected}: ${JSON.stringify(measured.kinds)}`)
  }
  return {
    perSecond: replies / measured.seconds,
    cpu: ((ended.cpu - began.cpu) / replies) * 1e6,
    main: ((ended.main - began.main) / replies) * 1e6,
  }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

const only = process.argv[5]
const rounds = Number(process.argv[2] ?? 5)
const seconds = Number(process.argv[3] ?? 3)
const folder = await mkdtemp(join(tmpdir(), 'bench-route-'))
await using stack = new AsyncDisposableStack()
stack.defer(() => rm(folder, { recursive: true }))
await compileClients(folder)
const gatehouse = await startGatehouse(folder)
stack.defer(() => gatehouse.stop())
const bare = await startBareRoute()
stack.defer(() => bare.stop())

function requestsOf(name: string, texts: readonly Buffer[]): string {
  const file = join(folder, name)
  writeFileSync(file, packTexts(texts))
  return file
}
await lockOut(gatehouse)
const locked = requestsOf(
  'locked',
  LOCKED.map(name => loginRequest(name, PASSWORD)),
)
const right = requestsOf(
  'right',
  PEOPLE.map(name => loginRequest(name, PASSWORD)),
)
const cases: readonly Case[] = [
  { name: bareRoute.name, who: bare, requests: locked, expected: bare.refused },
  { name: 'locked out', who: gatehouse, requests: locked, expected: '429' },
  { name: 'accepted', who: gatehouse, requests: right, expected: gatehouse.accepted },
]
const figures = new Map<string, Figure[]>(cases.map(({ name }) => [name, []]))
for (let round = 1; round <= rounds; round++) {
  let base = 0
  for (const each of cases.filter(({ name }) => only === undefined || name === only)) {
    const figure = await measure(join(folder, 'exchange'), each)
    figures.get(each.name)?.push(figure)
    base ||= figure.perSecond
    say(
      `${round}  ${each.name.padEnd(20)} ${figure.perSecond.toFixed(0).padStart(7)}/s` +
        `  ratio ${(figure.perSecond / base).toFixed(2)}  CPU ${figure.cpu.toFixed(1)} µs, main thread ${figure.main.toFixed(1)} µs`,
    )
  }
}
const bases = figures.get(bareRoute.name) ?? []
for (const [name, own] of figures) {
  if (own.length === 0) continue
  const ratio = median(own.map(({ perSecond }, index) => perSecond / (bases[index]?.perSecond ?? Number.NaN)))
  say(
    `median  ${name.padEnd(20)} ratio ${ratio.toFixed(2)}  CPU ${median(own.map(({ cpu }) => cpu)).toFixed(1)} µs, ` +
      `main thread ${median(own.map(({ main }) => main)).toFixed(1)} µs`,
  )
}
