import type { Clock } from '../../plugin.ts'
import { orAbort } from './deadline.ts'
import { DirectoryFailure } from './failure.ts'

/** What a pool keeps open. */
export interface Pooled {
  /** False once it has ended, by itself or by an error. */
  readonly usable: boolean
  /** In bounded time; never rejects. */
  close(): Promise<void>
}

export interface PoolOptions<C> {
  /**
   * Makes one more connection in bounded time; the signal aborts when the pool closes. If it rejects and no connection
   * is left, everybody who waits for one gets that rejection.
   */
  open(signal: AbortSignal): Promise<C>
  readonly maxConnections: number
  /** Uses of one connection at the same time. */
  readonly maxUses: number
  readonly maxWaiting: number
  readonly idleTimeoutMs: number
  readonly maxAgeMs: number
  readonly clock: Clock
}

/** Connections that are kept open and lent out. */
export interface Pool<C> {
  /**
   * Runs `work` with a connection, waiting for one if need be.
   *
   * @throws {DirectoryFailure} if there is none: too many wait, the signal aborted, or no connection can be made
   * @throws whatever `work` throws
   */
  use<T>(signal: AbortSignal, work: (connection: C) => Promise<T>): Promise<T>
  /** Closes every connection; whoever waits is turned away. */
  close(): Promise<void>
}

interface Member<C> {
  /** Shared by everybody who came while it was being opened. */
  readonly opening: Promise<C>
  connection: C | undefined
  uses: number
  readonly openedAt: number
  usedAt: number
}

interface Waiter<C> {
  admit(member: Member<C>): void
  refuse(failure: unknown): void
}

/** How often idle connections are looked for. */
const SWEEP_MS = 30_000

export function createPool<C extends Pooled>(options: PoolOptions<C>): Pool<C> {
  const { clock, maxConnections, maxUses, maxWaiting, idleTimeoutMs, maxAgeMs } = options
  const members = new Set<Member<C>>()
  const waiting = new Set<Waiter<C>>()
  const closing = new Set<Promise<void>>()
  const closed = new AbortController()
  // Does not keep the process alive.
  const sweeper = setInterval(dropOutdated, SWEEP_MS).unref()

  function dropOutdated(): void {
    for (const member of members) {
      const { connection, uses } = member
      if (connection === undefined) continue
      const now = clock.now()
      const outdated =
        now - member.openedAt >= maxAgeMs || (uses === 0 && now - member.usedAt >= idleTimeoutMs)
      if (!connection.usable || outdated) drop(member)
    }
  }

  /** No new use of it; it is closed when the last one ends. */
  function drop(member: Member<C>): void {
    members.delete(member)
    if (member.uses === 0 && member.connection) dispose(member.connection)
  }

  function dispose(connection: C): void {
    const done = connection.close().finally(() => closing.delete(done))
    closing.add(done)
  }

  /** The least busy member with room; among equals the one used last, so that the others can age out. */
  function findRoom(): Member<C> | undefined {
    dropOutdated()
    const room = [...members].filter(({ uses }) => uses < maxUses)
    room.sort((a, b) => a.uses - b.uses || b.usedAt - a.usedAt)
    const [best] = room
    if (best) return best
    return members.size < maxConnections ? grow() : undefined
  }

  function grow(): Member<C> {
    const now = clock.now()
    const member: Member<C> = {
      opening: options.open(closed.signal),
      connection: undefined,
      uses: 0,
      openedAt: now,
      usedAt: now,
    }
    members.add(member)
    member.opening.then(
      connection => {
        member.connection = connection
        if (closed.signal.aborted) drop(member)
      },
      failure => {
        members.delete(member)
        // With nothing left that could serve them, all who wait have their answer now and not one after the other.
        if (members.size === 0) refuseAll(failure)
        else admitWaiting()
      },
    )
    return member
  }

  function admitWaiting(): void {
    for (const waiter of waiting) {
      const member = closed.signal.aborted ? undefined : findRoom()
      if (member === undefined) return
      waiting.delete(waiter)
      waiter.admit(member)
    }
  }

  function refuseAll(failure: unknown): void {
    for (const waiter of waiting) waiter.refuse(failure)
    waiting.clear()
  }

  function acquire(signal: AbortSignal): Promise<Member<C>> {
    if (closed.signal.aborted) throw new DirectoryFailure('the backend is closed', { phase: 'admission' })
    if (signal.aborted) throw new DirectoryFailure('the time was used up before', { phase: 'admission' })
    const member = waiting.size === 0 ? findRoom() : undefined
    if (member) {
      member.uses++
      return Promise.resolve(member)
    }
    if (waiting.size >= maxWaiting) {
      throw new DirectoryFailure('too many logins wait for a connection', { phase: 'admission' })
    }
    return new Promise((resolve, reject) => {
      const leave = () => {
        waiting.delete(waiter)
        reject(new DirectoryFailure('no connection came free in time', { phase: 'admission' }))
      }
      const waiter: Waiter<C> = {
        admit(free) {
          signal.removeEventListener('abort', leave)
          free.uses++
          resolve(free)
        },
        refuse(failure) {
          signal.removeEventListener('abort', leave)
          reject(failure)
        },
      }
      waiting.add(waiter)
      signal.addEventListener('abort', leave)
    })
  }

  function release(member: Member<C>): void {
    member.uses--
    member.usedAt = clock.now()
    const { connection } = member
    if (connection && !connection.usable) members.delete(member)
    if (connection && member.uses === 0 && !members.has(member)) dispose(connection)
    admitWaiting()
  }

  return {
    async use(signal, work) {
      const member = await acquire(signal)
      try {
        return await work(await orAbort(member.opening, signal, 'connect'))
      } finally {
        release(member)
      }
    },

    async close() {
      closed.abort()
      clearInterval(sweeper)
      refuseAll(new DirectoryFailure('the backend is closed', { phase: 'admission' }))
      await Promise.allSettled([...members].map(({ opening }) => opening))
      for (const member of members) drop(member)
      await Promise.allSettled(closing)
    },
  }
}
