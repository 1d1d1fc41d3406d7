import { randomBytes } from 'node:crypto'
import type { LockoutReport } from '../authentication/lockout.ts'
import type { Log } from '../authentication/log.ts'
import { UnavailableError } from '../authentication/outcome.ts'
import { createRedisConnection, type RedisAddress } from './redis/connection.ts'
import { keyRoot, SCRIPT, SCRIPT_SHA } from './redis/script.ts'
import { createNoteSeal } from './redis/sealed-note.ts'
import { type Answers, type Lock, listOf, type NotedPardon, type Reply, type Request } from './redis/wire.ts'
import type { Latest, SharedStore } from './shared-store.ts'
import { type HeldLock, LEASE_MS } from './store.ts'

export interface RedisStoreOptions extends RedisAddress {
  /** Of all keys, 1..64 of `A-Za-z0-9._-`: who shares it shares the counts. */
  readonly prefix: string
  /** How long one step may take, in milliseconds, above 0; 250 by default. */
  readonly timeoutMs?: number
  /** Of the installation, the same on every replica, at least 32 bytes. */
  readonly secret: Uint8Array
  readonly log: Log
  /** In 0..1, for the jitter of locks. */
  readonly random?: () => number
}

const MIN_SECRET_BYTES = 32
const TIMEOUT_MS = 250
const MOST_ABANDONED = 10_000

/**
 * Counts in Redis 6.2 or later, or in Valkey: each step is one script there, on that server's time. It connects in the
 * background. A step that cannot be answered in time rejects with `UnavailableError`; what it may have done all the same
 * is taken back as soon as that is possible.
 *
 * @throws {RangeError} on an address, a prefix or a secret that is none
 */
export function createRedisStore(options: RedisStoreOptions): SharedStore {
  const { prefix, secret, log, random = Math.random } = options
  if (!/^[\w.-]{1,64}$/.test(prefix))
    throw new RangeError('The prefix of the keys must be 1 to 64 of A-Za-z0-9._-')
  if (secret.byteLength < MIN_SECRET_BYTES) {
    throw new RangeError(`The lockout's secret must have at least ${MIN_SECRET_BYTES} bytes`)
  }
  const notes = createNoteSeal(secret)
  const connection = createRedisConnection(options, options.timeoutMs ?? TIMEOUT_MS, log)
  const root = keyRoot(prefix)
  const self = randomBytes(9).toString('base64url')
  let abandoned: string[] = []
  let latest: Latest = { pardon: 0 }
  let locked: LockoutReport['locked'] = {}
  let keys: number | undefined

  async function run(text: string): Promise<unknown> {
    try {
      return await connection.ask(['EVALSHA', SCRIPT_SHA, '1', root, text])
    } catch (error) {
      if (!isUnknownScript(error)) throw error
      return connection.ask(['EVAL', SCRIPT, '1', root, text])
    }
  }

  async function ask<R extends Request>(request: R): Promise<Answers[R['step']]> {
    const text = await run(JSON.stringify({ ...request, random: random() }))
    const reply: Reply<R['step']> = JSON.parse(String(text))
    if (reply.lost !== undefined) {
      log.error({ lease_ms: LEASE_MS, attempts: reply.lost }, 'attempts never ended: counted as failures')
    }
    if (reply.locked !== undefined) locked = reply.locked
    if (reply.keys !== undefined) keys = reply.keys
    if (abandoned.length > 0 && request.step !== 'abandon') takeBack()
    return reply.answer
  }

  /** Leases that nobody knows of hold places, and would count as failures in the end. */
  function takeBack(): void {
    const leases = abandoned
    abandoned = []
    ask({ step: 'abandon', leases }).catch(() => {
      abandoned = [...leases, ...abandoned].slice(-MOST_ABANDONED)
    })
  }

  function opened({ note, ...lock }: Lock): HeldLock {
    const known = note === undefined ? undefined : notes.open(note)
    return { ...lock, ...(known !== undefined && { note: known }) }
  }

  return {
    async reserve(places, note) {
      const lease = randomBytes(16).toString('base64url')
      const request = { step: 'reserve', lease, places, note: notes.seal(note) } as const
      const { latest: told, ...answer } = await ask(request).catch(error => {
        abandoned = [...abandoned, lease].slice(-MOST_ABANDONED)
        throw error
      })
      if (told !== undefined) latest = told
      if (answer.outcome === 'abandoned') throw new UnavailableError('Redis: too late', 'lookup')
      return answer.outcome === 'reserved' ? { ...answer, lease } : answer
    },
    extend: (lease, places, note) => ask({ step: 'extend', lease, places, note: notes.seal(note) }),
    end: (lease, ending, note) => ask({ step: 'end', lease, ending, note: notes.seal(note) }),
    async inspect(places) {
      return listOf((await ask({ step: 'inspect', places })).states)
    },
    async list(most) {
      return listOf((await ask({ step: 'list', most })).locks).map(opened)
    },
    async pardon(pardon) {
      return listOf((await ask({ step: 'pardon', pardon, by: self })).locks).map(opened)
    },
    latest: () => latest,
    async pardonsSince(number) {
      const noted = listOf((await ask({ step: 'pardons', since: number })).pardons)
      return noted.flatMap(text => {
        const { by, pardon }: NotedPardon = JSON.parse(text)
        return by === self ? [] : [pardon]
      })
    },
    report() {
      // For the next report; this one tells what the last step saw.
      if (connection.isUp()) ask({ step: 'count' }).catch(() => {})
      const records: Record<string, number> = keys === undefined ? {} : { redis: keys }
      return { records, locked, underAttack: false, reachable: connection.isUp() }
    },
    async close() {
      connection.close()
    },
  }
}

function isUnknownScript(error: unknown): boolean {
  const cause = error instanceof UnavailableError ? error.cause : error
  return cause instanceof Error && cause.message.startsWith('NOSCRIPT')
}
