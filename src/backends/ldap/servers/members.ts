import type { Clock } from '../../../plugin.ts'

/** What a pool keeps open. */
export interface Pooled {
  /** False once it has ended, by itself or by an error. */
  readonly usable: boolean
  /** In bounded time; never rejects. */
  close(): Promise<void>
}

/**
 * What may be done with a connection: use it `now`; use it `once_tried`; leave it alone for `not_now`, because others are
 * better or it is silent; or close it: it is `lost`.
 */
export type Trust = 'now' | 'once_tried' | 'not_now' | 'lost'

/** A connection in a pool. */
export interface Member<C> {
  readonly connection: C
  uses: number
  readonly openedAt: number
  usedAt: number
  /** Somebody is finding out whether it still leads somewhere. */
  trying: boolean
}

export interface MemberRules<C> {
  trust(connection: C, now: number): Trust
  /** Lower is better. */
  rank(connection: C): number
  /** Uses of one connection at the same time. */
  readonly maxUses: number
  readonly idleTimeoutMs: number
  readonly maxAgeMs: number
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
}

/** The connections of a pool: which one is next, and which ones have had their day. */
export interface Members<C> {
  readonly size: number
  has(member: Member<C>): boolean
  add(connection: C): Member<C>
  /** No new use of it; it is closed when the last one ends. */
  retire(member: Member<C>): void
  /** Counts one use less, and closes it if that was the last one of a retired member. */
  release(member: Member<C>): void
  /** The best one with room that may be used now. Those that have ended are gone afterwards. */
  take(now: number): Member<C> | undefined
  /** Whether this one may be used now, once more. */
  hasRoom(member: Member<C>, now: number): boolean
  /** One that nobody uses and that may be used once tried: the one used last. */
  tryable(now: number): Member<C> | undefined
  /** How many may be used, if not at once. Of the others none will come free for those who wait. */
  inFavour(now: number): number
  /** The one that can best be spared: by rank, and one that nobody uses. */
  worst(except?: Member<C>): Member<C> | undefined
  /** Retires all that are too old, idle for too long, ended or lost. */
  retireOutdated(now: number): void
  /** Closes all, also those on which the directory is silent about something that nobody waits for any more. */
  close(): Promise<void>
}

/** A connection may be replaced so much before its time. */
const AGE_JITTER = 0.1

export function createMembers<C extends Pooled>(rules: MemberRules<C>): Members<C> {
  const { clock, maxUses, idleTimeoutMs, maxAgeMs } = rules
  const members = new Set<Member<C>>()
  /** Retired while they were in use. */
  const leaving = new Set<Member<C>>()
  const closing = new Set<Promise<void>>()
  let isClosed = false

  function dispose({ connection }: Member<C>): void {
    const done = connection.close().finally(() => closing.delete(done))
    closing.add(done)
  }

  function retire(member: Member<C>): void {
    if (!members.delete(member)) return
    if (member.uses === 0) dispose(member)
    else leaving.add(member)
  }

  function isOutdated({ connection, uses, openedAt, usedAt }: Member<C>, now: number): boolean {
    return !connection.usable || now - openedAt >= maxAgeMs || (uses === 0 && now - usedAt >= idleTimeoutMs)
  }

  return {
    get size() {
      return members.size
    },
    has: member => members.has(member),
    retire,

    add(connection) {
      const now = clock.now()
      // Those opened together do not all grow too old together.
      const openedAt = now - maxAgeMs * rules.random() * AGE_JITTER
      const member = { connection, uses: 0, openedAt, usedAt: now, trying: false }
      if (isClosed) dispose(member)
      else members.add(member)
      return member
    },

    release(member) {
      member.uses--
      member.usedAt = clock.now()
      if (!member.connection.usable) retire(member)
      if (member.uses === 0 && leaving.delete(member)) dispose(member)
    },

    take(now) {
      let best: Member<C> | undefined
      let bestRank = Infinity
      for (const member of members) {
        if (member.trying) continue
        const trust = isOutdated(member, now) ? 'lost' : rules.trust(member.connection, now)
        if (trust === 'lost') retire(member)
        if (trust !== 'now' || member.uses >= maxUses) continue
        const rank = rules.rank(member.connection)
        if (best === undefined || rank < bestRank || (rank === bestRank && isFreer(member, best))) {
          best = member
          bestRank = rank
        }
      }
      return best
    },

    hasRoom(member, now) {
      const { connection, uses, trying } = member
      if (trying || uses >= maxUses || !members.has(member) || isOutdated(member, now)) return false
      return rules.trust(connection, now) === 'now'
    },

    tryable(now) {
      let best: Member<C> | undefined
      for (const member of members) {
        if (member.trying || member.uses > 0) continue
        if (best !== undefined && member.usedAt <= best.usedAt) continue
        if (rules.trust(member.connection, now) === 'once_tried') best = member
      }
      return best
    },

    inFavour(now) {
      let count = 0
      for (const { connection } of members) {
        const trust = rules.trust(connection, now)
        if (trust === 'now' || trust === 'once_tried') count++
      }
      return count
    },

    worst(except) {
      const [worst] = [...members]
        .filter(member => member !== except)
        .sort(
          (a, b) =>
            rules.rank(b.connection) - rules.rank(a.connection) || a.uses - b.uses || a.usedAt - b.usedAt,
        )
      return worst
    },

    retireOutdated(now) {
      for (const member of members) {
        if (member.trying) continue
        if (isOutdated(member, now) || rules.trust(member.connection, now) === 'lost') retire(member)
      }
    },

    async close() {
      isClosed = true
      for (const member of [...members, ...leaving]) dispose(member)
      members.clear()
      leaving.clear()
      while (closing.size > 0) await Promise.allSettled(closing)
    },
  }
}

function isFreer(one: Member<unknown>, other: Member<unknown>): boolean {
  // Among equals the one used last, so that the others can age out.
  return one.uses < other.uses || (one.uses === other.uses && one.usedAt > other.usedAt)
}
