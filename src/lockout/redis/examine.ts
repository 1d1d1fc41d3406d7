import { randomBytes } from 'node:crypto'
import { TIMED_OUT, withDeadline } from '../../authentication/deadline.ts'
import { CONNECT_MS, createRedisClient, type RedisAddress } from './connection.ts'
import { faultOf, type RedisFault } from './fault.ts'
import { keyRoot, SCRIPT, SCRIPT_SHA } from './script.ts'
import type { Request } from './wire.ts'

/** What is found out about the server, in this order; what comes after a fault of the connection stays unknown. */
export type RedisFact =
  | { readonly fact: 'connection'; readonly tookMs: number }
  | { readonly fact: 'no_connection'; readonly fault: RedisFault }
  | { readonly fact: 'server'; readonly product: string; readonly version: string; readonly tooOld: boolean }
  /** `limitBytes` is 0 for none. */
  | { readonly fact: 'memory'; readonly limitBytes: number; readonly policy: string }
  | { readonly fact: 'append_only_file'; readonly kept: boolean }
  /** It does not say who it is. */
  | { readonly fact: 'silent'; readonly fault: RedisFault }
  | { readonly fact: 'script'; readonly roundTripMs: number }
  | { readonly fact: 'no_script'; readonly fault: RedisFault }

/** One answer, in milliseconds: longer than anybody would set the store's `timeout`, so that slow is told from gone. */
const ANSWER_MS = 3_000
/** The median of so many: one that is late says nothing. */
const ROUNDS = 9
/** With scripts that write after having read the time, and ACLs. */
const OLDEST = [6, 2] as const

/**
 * Connects as the store does, and runs the store's script as it does, below a prefix of its own: nobody's counts are
 * looked at or changed. What that writes is gone after a minute. Never throws.
 */
export async function* examineRedis(
  options: RedisAddress & { readonly prefix: string },
): AsyncGenerator<RedisFact> {
  const client = createRedisClient(options)
  // Whoever waits for an answer hears of it, too.
  client.on('error', () => {})
  const ask = (...words: string[]) => within(ANSWER_MS, () => client.sendCommand(words))
  try {
    const beganAt = performance.now()
    try {
      await within(CONNECT_MS, () => client.connect())
    } catch (error) {
      yield { fact: 'no_connection', fault: faultOf(error) }
      return
    }
    yield { fact: 'connection', tookMs: performance.now() - beganAt }
    try {
      // Sections by name only one at a time, before Redis 7.
      yield* readInfo(String(await ask('INFO')))
    } catch (error) {
      yield { fact: 'silent', fault: faultOf(error) }
    }
    try {
      yield { fact: 'script', roundTripMs: await runScript(options.prefix, ask) }
    } catch (error) {
      yield { fact: 'no_script', fault: faultOf(error) }
    }
  } finally {
    if (client.isOpen) client.destroy()
  }
}

async function within<T>(ms: number, work: () => Promise<T>): Promise<T> {
  const answer = await withDeadline(ms, work)
  if (answer === TIMED_OUT) {
    throw Object.assign(new Error(`no answer within ${ms} ms`), { code: 'ETIMEDOUT' })
  }
  return answer
}

/** `key:value`, a line each, below headings with `#`. */
function* readInfo(text: string): Generator<RedisFact> {
  const info = new Map(
    text.split('\r\n').flatMap(line => {
      const colon = line.indexOf(':')
      return colon < 0 ? [] : [[line.slice(0, colon), line.slice(colon + 1)] as const]
    }),
  )
  const valkey = info.get('valkey_version')
  // Valkey says here which Redis it is like.
  const version = info.get('redis_version')
  if (version === undefined) throw new Error('INFO does not tell the version')
  const product = valkey === undefined ? 'Redis' : 'Valkey'
  yield { fact: 'server', product, version: valkey ?? version, tooOld: isTooOld(version) }
  const [limit, policy] = [info.get('maxmemory'), info.get('maxmemory_policy')]
  if (limit !== undefined && policy !== undefined) {
    yield { fact: 'memory', limitBytes: Number(limit), policy }
  }
  const appends = info.get('aof_enabled')
  if (appends !== undefined) yield { fact: 'append_only_file', kept: appends === '1' }
}

function isTooOld(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])
}

/** @returns the median of its round trips, in milliseconds */
async function runScript(prefix: string, ask: (...words: string[]) => Promise<unknown>): Promise<number> {
  // It reads, it writes one key, and that key lasts a minute.
  const request: Request = { step: 'abandon', leases: [randomBytes(16).toString('base64url')] }
  const words = ['1', `${keyRoot(prefix)}doctor:`, JSON.stringify({ ...request, random: 0 })]
  await ask('EVAL', SCRIPT, ...words)
  const took: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const beganAt = performance.now()
    await ask('EVALSHA', SCRIPT_SHA, ...words)
    took.push(performance.now() - beganAt)
  }
  return took.sort((a, b) => a - b)[(ROUNDS - 1) / 2] ?? 0
}
