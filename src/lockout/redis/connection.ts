import { createClient } from '@redis/client'
import type { Log } from '../../authentication/log.ts'
import { UnavailableError } from '../../authentication/outcome.ts'
import type { Secret } from '../../authentication/secret.ts'

export interface RedisAddress {
  /** `redis://host:port/database`, or `rediss:` for TLS; without credentials. */
  readonly url: string
  readonly username?: string
  readonly password?: Secret
  /** Certificate authorities to trust instead of the system's, as PEM. */
  readonly ca?: string
}

/** One connection, made anew in the background whenever it is gone. */
export interface RedisConnection {
  /**
   * One command and its reply.
   *
   * @throws {UnavailableError} without a reply within the timeout, and on every reply that is an error
   */
  ask(words: readonly string[]): Promise<unknown>
  isUp(): boolean
  /** Idempotent. */
  close(): void
}

/** How long a connection may take to come up, with TLS and password, and how long until the next is tried. */
const CONNECT_MS = 1_000
const RETRY_MS = 250

/**
 * Nothing waits for a connection that has failed: what is asked meanwhile is refused at once.
 *
 * @param timeoutMs for one command, above 0
 * @throws {RangeError} on an address that is none
 */
export function createRedisConnection(address: RedisAddress, timeoutMs: number, log: Log): RedisConnection {
  const where = checked(address.url)
  let ready: ReturnType<typeof newClient> | undefined
  /** While one comes up; over when it is up, or not to be had. */
  let coming: Promise<void> | undefined
  let drop: ((cause: unknown) => void) | undefined
  let retry: NodeJS.Timeout | undefined
  let complaint: string | undefined
  let isClosed = false
  const asking = new Set<(cause: unknown) => void>()
  let replies = 0

  function open(): void {
    const client = newClient(address)
    let isOver = false
    const lose = (cause: unknown) => {
      if (isOver) return
      isOver = true
      clearTimeout(deadline)
      ready = coming = undefined
      if (client.isOpen) client.destroy()
      for (const reject of [...asking]) reject(cause)
      if (isClosed) return
      const reason = messageOf(cause)
      // Once for each reason, until it is up again: not four lines a second.
      if (reason !== complaint) log.warn({ server: where, reason }, 'no connection to Redis')
      complaint = reason
      retry = setTimeout(open, RETRY_MS)
      retry.unref()
    }
    drop = lose
    client.on('error', lose)
    const deadline = setTimeout(() => lose(new Error(`no connection within ${CONNECT_MS} ms`)), CONNECT_MS)
    coming = client.connect().then(() => {
      clearTimeout(deadline)
      if (isOver) return
      ready = client
      coming = undefined
      if (complaint === undefined) log.info({ server: where }, 'connected to Redis')
    }, lose)
  }

  async function reply(words: readonly string[]): Promise<unknown> {
    if (ready === undefined) await coming
    if (ready === undefined) throw new Error(complaint ?? 'no connection')
    const answer = await ready.sendCommand(words)
    replies++
    if (complaint !== undefined) log.info({ server: where }, 'connected to Redis again')
    complaint = undefined
    return answer
  }

  open()
  return {
    ask(words) {
      return new Promise((resolve, reject) => {
        const settle = () => {
          clearTimeout(timer)
          asking.delete(fail)
        }
        const fail = (cause: unknown) => {
          settle()
          reject(new UnavailableError(`Redis: ${messageOf(cause)}`, 'lookup', { cause }))
        }
        const before = replies
        const timer = setTimeout(() => {
          // If this process was the slow one, the reply lies ready: it is read first.
          setImmediate(() => {
            if (!asking.has(fail)) return
            const late = new Error(`no reply within ${timeoutMs} ms`)
            fail(late)
            // Slow is not gone. But replies come in order: where none came at all, none will.
            if (ready !== undefined && replies === before) drop?.(late)
          })
        }, timeoutMs)
        asking.add(fail)
        reply(words).then(
          answer => {
            settle()
            resolve(answer)
          },
          cause => {
            fail(cause)
            // It has lost its rank: whoever has it now answers to the same name.
            if (messageOf(cause).startsWith('READONLY')) drop?.(cause)
          },
        )
      })
    },
    isUp: () => ready !== undefined,
    close() {
      isClosed = true
      clearTimeout(retry)
      drop?.(new Error('closed'))
    },
  }
}

function newClient({ url, username, password, ca }: RedisAddress) {
  return createClient({
    url,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password: password.reveal() }),
    socket: {
      connectTimeout: CONNECT_MS,
      reconnectStrategy: false,
      ...(ca !== undefined && { tls: true, ca }),
    },
    disableOfflineQueue: true,
    disableClientInfo: true,
    maintNotifications: 'disabled',
  })
}

/** The address as it may be logged. */
function checked(url: string): string {
  if (!URL.canParse(url)) throw new RangeError('The address of Redis is no URL')
  const { protocol, host, username, password } = new URL(url)
  if (protocol !== 'redis:' && protocol !== 'rediss:') {
    throw new RangeError('The address of Redis must start with redis:// or rediss://')
  }
  if (username !== '' || password !== '') {
    throw new RangeError('User and password of Redis do not belong into its address')
  }
  return `${protocol}//${host}`
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message || cause.name : String(cause)
}
