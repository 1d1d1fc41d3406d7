import { createInFlight } from '../../../authentication/in-flight.ts'
import { DirectoryFailure } from '../wire/failure.ts'
import { createMembers, type Member, type MemberRules, type Pooled } from './members.ts'

export interface PoolOptions<C> extends MemberRules<C> {
  /**
   * Makes one more connection in bounded time; the signal aborts when the pool closes.
   *
   * @param below only one that ranks better than this; Infinity takes any
   */
  open(signal: AbortSignal, below: number): Promise<C>
  /** Finds out in bounded time whether it still leads somewhere; never rejects. */
  try(connection: C): Promise<boolean>
  readonly maxConnections: number
  readonly maxWaiting: number
}

/** Connections that are kept open and lent out, the better ones first, in the order in which they are asked for. */
export interface Pool<C> {
  /**
   * Runs `work` with a connection, waiting for one if need be.
   *
   * @throws {DirectoryFailure} if there is none: too many wait, the signal aborted, or no connection can be made and none of
   *   those there are can be used
   * @throws whatever `work` throws
   */
  use<T>(signal: AbortSignal, work: (connection: C) => Promise<T>): Promise<T>
  /** Trust or ranks have changed: whoever waits is served anew, and better connections take the place of lesser ones. */
  review(): void
  /** Closes every connection; whoever waits is turned away. */
  close(): Promise<void>
}

interface Waiter<C> {
  readonly id: number
  admit(member: Member<C>): void
  refuse(failure: unknown): void
}

/** How often idle connections are looked for. */
const SWEEP_MS = 30_000

export function createPool<C extends Pooled>(options: PoolOptions<C>): Pool<C> {
  const { clock, maxConnections, maxUses, maxWaiting } = options
  const members = createMembers(options)
  const waiting = createInFlight<number, Waiter<C>>()
  let lastId = 0
  const openings = new Set<Promise<void>>()
  const closed = new AbortController()
  let trying = 0
  let improving: Promise<void> | undefined
  /** Whether the last look found that one more who waits changes nothing: all that may be there are, and have their hands full. */
  let isFull = false
  // Does not keep the process alive.
  const sweeper = setInterval(review, SWEEP_MS).unref()

  /** Whoever can be served is, in order; for the others connections are tried or, if that is wanted, made. */
  function pump(mayGrow: boolean): void {
    const now = clock.now()
    isFull = false
    for (let next = waiting.first(); next !== undefined; next = waiting.first()) {
      const member = members.take(now)
      if (member === undefined) break
      waiting.delete(next.id)
      next.admit(member)
    }
    while (onTheWay() < waiting.size) {
      const silent = members.tryable(now)
      if (silent) void tryOut(silent)
      else if (mayGrow && members.inFavour(now) + openings.size < maxConnections) grow()
      else {
        isFull = mayGrow
        break
      }
    }
  }

  /** The place that came free goes to whoever waits longest: while anybody waits there is no other one. */
  function passOn(member: Member<C>): void {
    const next = waiting.first()
    if (next === undefined) return
    if (members.hasRoom(member, clock.now())) {
      waiting.delete(next.id)
      next.admit(member)
    } else pump(true)
  }

  /** Uses for which there will be room soon. */
  function onTheWay(): number {
    return (openings.size + trying) * maxUses
  }

  async function tryOut(member: Member<C>): Promise<void> {
    trying++
    member.trying = true
    const alive = await options.try(member.connection)
    trying--
    member.trying = false
    if (!alive) members.retire(member)
    pump(true)
  }

  function grow(): void {
    const opening = options.open(closed.signal, Infinity).then(
      connection => {
        openings.delete(opening)
        add(connection)
        pump(true)
      },
      failure => {
        openings.delete(opening)
        // Not again at once: that is for the next who comes, or for a connection that comes free.
        pump(false)
        if (onTheWay() > 0 || members.inFavour(clock.now()) > 0) return
        // Nothing is left that could serve them: all who wait have their answer now and not one after the other.
        refuseAll(failure)
      },
    )
    openings.add(opening)
  }

  function add(connection: C): void {
    const member = members.add(connection)
    const spare = members.size > maxConnections ? members.worst(member) : undefined
    if (spare) members.retire(spare)
  }

  function review(): void {
    if (closed.signal.aborted) return
    members.retireOutdated(clock.now())
    pump(true)
    improving ??= improve().finally(() => {
      improving = undefined
    })
  }

  /** One after the other, and the better one is there before the lesser one goes: a server that seems back may still fail. */
  async function improve(): Promise<void> {
    try {
      while (!closed.signal.aborted) {
        const lesser = members.worst()
        const rank = lesser && options.rank(lesser.connection)
        if (lesser === undefined || !rank) return
        const better = await options.open(closed.signal, rank)
        members.retire(lesser)
        add(better)
        pump(true)
      }
    } catch {
      // There is no better one, or not yet: these will do until the next review.
    }
  }

  function refuseAll(failure: unknown): void {
    for (let next = waiting.first(); next !== undefined; next = waiting.first()) {
      waiting.delete(next.id)
      next.refuse(failure)
    }
  }

  function queue(signal: AbortSignal): Promise<Member<C>> {
    const { promise, resolve, reject } = Promise.withResolvers<Member<C>>()
    const id = ++lastId
    const leave = () => {
      waiting.delete(id)
      const phase = members.size === 0 ? 'connect' : 'admission'
      reject(new DirectoryFailure('no connection came free in time', { phase }))
    }
    const waiter: Waiter<C> = {
      id,
      admit(member) {
        signal.removeEventListener('abort', leave)
        member.uses++
        resolve(member)
      },
      refuse(failure) {
        signal.removeEventListener('abort', leave)
        reject(failure)
      },
    }
    waiting.set(id, waiter)
    signal.addEventListener('abort', leave)
    if (!isFull || waiting.size === 1) pump(true)
    // Those for whom a connection is on its way wait for nobody, and do not count.
    if (waiting.has(id) && waiting.size > maxWaiting + onTheWay()) {
      waiting.delete(id)
      waiter.refuse(new DirectoryFailure('too many logins wait for a connection', { phase: 'admission' }))
    }
    return promise
  }

  return {
    async use(signal, work) {
      if (closed.signal.aborted) throw new DirectoryFailure('the backend is closed', { phase: 'admission' })
      if (signal.aborted) throw new DirectoryFailure('the time was used up before', { phase: 'admission' })
      let member = waiting.size === 0 ? members.take(clock.now()) : undefined
      if (member) member.uses++
      else member = await queue(signal)
      try {
        return await work(member.connection)
      } finally {
        members.release(member)
        passOn(member)
      }
    },

    review,

    async close() {
      closed.abort()
      clearInterval(sweeper)
      refuseAll(new DirectoryFailure('the backend is closed', { phase: 'admission' }))
      await members.close()
      await Promise.allSettled([...openings, improving])
      await members.close()
    },
  }
}
