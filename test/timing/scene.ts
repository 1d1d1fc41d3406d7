/**
 * The frame of the timing campaign (docs/timing.md): failures of several kinds at one daemon, in shuffled turns over connections that
 * stay open, and whether their durations and their bytes can be told apart.
 */
import { appendFileSync } from 'node:fs'
import { Agent, type IncomingMessage, request } from 'node:http'
import type { Test } from 'tap'
import { createChance } from '../support/chance.ts'
import { mannWhitney, median } from './statistics.ts'

/** One line of the table. */
export interface Row {
  /** The backends, in their order. */
  readonly order: string
  /** What is compared with `unknown`. */
  readonly kind: string
  readonly samples: number
  /** Medians in milliseconds: of the unknown name, and of this. */
  readonly unknownMs: number
  readonly kindMs: number
  readonly p: number
  /** A success is answered at once: that it is told apart shows that the campaign can. */
  readonly control?: true
}

/** What somebody sends: the same each time, or another thing each time. */
export type Guess = () => { readonly username: string; readonly password: string }

export interface Kinds {
  readonly unknown: Guess
  readonly [kind: string]: Guess
}

/** Samples of each kind, unless a scene wants another number. */
const SAMPLES = Number(process.env.GATEHOUSE_TIMING_SAMPLES ?? 2_000)
/** Few enough that nobody waits for a hash longer than for the floor. */
const CONNECTIONS = 20
const rowsFile = process.env.GATEHOUSE_TIMING_ROWS
const chance = createChance(Number(process.env.GATEHOUSE_TIMING_SEED ?? Date.now()))

interface Reply {
  readonly durationMs: number
  /** Status, headers and body but for the request id and the date. */
  readonly bytes: string
}

export interface Scene {
  readonly order: string
  readonly url: string
  readonly kinds: Kinds
  /** Somebody's right password, for the control. */
  readonly right: Guess
  readonly headers?: Readonly<Record<string, string>>
  /** Of each kind. */
  readonly samples?: number
}

/**
 * Asks in shuffled turns, writes down a row for each kind but `unknown`, and asserts that all replies are the same bytes. The
 * daemon's lockout must be off.
 */
export async function compare(
  t: Test,
  { order, url, kinds, right, headers = {}, samples = SAMPLES }: Scene,
): Promise<Row[]> {
  const names = Object.keys(kinds)
  const durations = new Map(names.map(name => [name, [] as number[]]))
  const bytes = new Map<string, Set<string>>(names.map(name => [name, new Set()]))
  const successes: number[] = []
  const turns = Array.from({ length: samples }, () => shuffled(names)).flat()
  const everySuccess = Math.ceil(turns.length / Math.min(samples, 200))

  async function worker(): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    for (;;) {
      const name = turns.pop()
      if (name === undefined) break
      const guess = kinds[name]
      if (guess === undefined) throw new Error(name)
      const { durationMs, bytes: seen } = await send(agent, url, guess(), headers)
      durations.get(name)?.push(durationMs)
      bytes.get(name)?.add(seen)
      if (turns.length % everySuccess === 0) {
        const reply = await send(agent, url, right(), headers)
        if (!reply.bytes.startsWith('200 ')) throw new Error(`a right password is answered ${reply.bytes}`)
        successes.push(reply.durationMs)
      }
    }
    agent.destroy()
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, worker))

  const rows: Row[] = []
  const unknown = durations.get('unknown') ?? []
  t.strictSame(
    [...(bytes.get('unknown') ?? [])].length,
    1,
    'every reply to an unknown name is the same bytes',
  )
  for (const name of names) {
    t.strictSame(bytes.get(name), bytes.get('unknown'), `${order}: ${name} is answered with the same bytes`)
    const of = durations.get(name) ?? []
    t.equal(of.length, samples)
    if (name !== 'unknown') rows.push(rowOf(order, name, unknown, of))
  }
  rows.push({ ...rowOf(order, 'control: right password', unknown, successes), control: true })
  for (const row of rows) write(row)
  return rows
}

function rowOf(order: string, kind: string, unknown: readonly number[], of: readonly number[]): Row {
  const [unknownMs, kindMs] = [median(unknown), median(of)]
  return { order, kind, samples: of.length, unknownMs, kindMs, p: mannWhitney(unknown, of) }
}

function write(row: Row): void {
  if (rowsFile !== undefined) appendFileSync(rowsFile, `${JSON.stringify(row)}\n`)
}

function shuffled<T>(items: readonly T[]): T[] {
  const left = [...items]
  return items.map(() => left.splice(chance.below(left.length), 1)[0] as T)
}

function send(
  agent: Agent,
  url: string,
  body: object,
  more: Readonly<Record<string, string>>,
): Promise<Reply> {
  const { promise, resolve, reject } = Promise.withResolvers<Reply>()
  const text = JSON.stringify(body)
  const headers = {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    ...more,
  }
  const startedAt = performance.now()
  const sent = request(`${url}/authenticate`, { agent, method: 'POST', headers }, response => {
    let received = ''
    response.setEncoding('utf8')
    response.on('data', chunk => {
      received += chunk
    })
    response.on('error', reject)
    response.on('end', () => {
      const durationMs = performance.now() - startedAt
      resolve({ durationMs, bytes: bytesOf(response, received) })
    })
  })
  sent.on('error', reject)
  sent.end(text)
  return promise
}

function bytesOf({ statusCode, rawHeaders }: IncomingMessage, body: string): string {
  const headers = rawHeaders.map((text, index) => {
    const name = rawHeaders[index - 1]?.toLowerCase() ?? ''
    return index % 2 === 1 && (name === 'date' || name === 'x-request-id') ? '…' : text
  })
  return `${statusCode} ${headers.join('\n')}\n${body.replace(/"request_id":"[^"]*"/, '"request_id":"…"')}`
}
