import type {
  Charge,
  LockEntry,
  LockKind,
  LockNote,
  Lockout,
  Standing,
} from '../../src/authentication/lockout.ts'

/** One count of the fake: whom it is of, and from where. */
interface Count {
  readonly kind: LockKind
  readonly limit: number
  readonly note: LockNote
  failures: number
}

export const LOCKED_MS = 300_000

/**
 * The port of the lockout with the least behind it: per name, subject and source a number that locks for good when it
 * comes to the limit. For tests of what is built on the port.
 */
export function createFakeLockout({ limit = 3, sourceLimit = 50 } = {}): Lockout {
  const counts = new Map<string, Count>()

  const pairKey = (account: string, address: string) => `pair ${account} ${address}`
  const sourceKey = (address: string) => `source ${address}`
  const isLocked = (count: Count | undefined) => count !== undefined && count.failures >= count.limit

  function standing(key: string, kind: LockKind, most: number): Standing {
    const count = counts.get(key)
    const locked = isLocked(count)
    const failures = locked ? 0 : (count?.failures ?? 0)
    return { kind, failures, limit: most, inFlight: 0, ...(locked && { lockedForMs: LOCKED_MS }) }
  }

  function fail(key: string, kind: LockKind, most: number, note: LockNote): boolean {
    const count = counts.get(key) ?? { kind, limit: most, note, failures: 0 }
    counts.set(key, count)
    const before = isLocked(count)
    count.failures++
    return isLocked(count) && !before
  }

  const refused = { admitted: false, reason: 'locked', retryAfterMs: LOCKED_MS } as const

  return {
    async inspect({ name, address }, subject) {
      return {
        name: [standing(pairKey(name, address), 'pair', limit)],
        source: [standing(sourceKey(address), 'source', sourceLimit)],
        subject: subject === undefined ? [] : [standing(pairKey(subject, address), 'pair', limit)],
      }
    },

    async reserve({ name, address, caller }) {
      if (isLocked(counts.get(pairKey(name, address))) || isLocked(counts.get(sourceKey(address)))) {
        return refused
      }
      const note = { name, address, caller }
      return {
        admitted: true,
        ignored: false,
        lease: {
          claim: async subject =>
            isLocked(counts.get(pairKey(subject, address))) ? refused : { admitted: true },
          async commit({ name: byName, subjects, source, accepted }: Charge) {
            const set = [
              ...subjects.map(subject =>
                fail(pairKey(subject, address), 'pair', limit, { ...note, subject }),
              ),
              ...(byName ? [fail(pairKey(name, address), 'pair', limit, note)] : []),
              ...(source ? [fail(sourceKey(address), 'source', sourceLimit, note)] : []),
            ]
            if (accepted !== undefined) {
              counts.delete(pairKey(name, address))
              counts.delete(pairKey(accepted, address))
            }
            return { locked: set.includes(true) }
          },
          async release() {},
        },
      }
    },

    desk: {
      async list(most) {
        return [...counts.values()].filter(isLocked).map(entryOf).slice(0, most)
      },
      async unlock(request) {
        const { address } = request
        const accounts = 'names' in request ? [...request.names, ...request.subjects] : []
        const ended = [...counts].filter(([key, { kind, note }]) => {
          if (address !== undefined && note.address !== address) return false
          if (accounts.length === 0) return kind === 'source'
          return accounts.some(account => key === pairKey(account, note.address))
        })
        for (const [key] of ended) counts.delete(key)
        return ended.flatMap(([, count]) => (isLocked(count) ? [entryOf(count)] : []))
      },
    },
  }
}

function entryOf({ kind, note }: Count): LockEntry {
  return { kind, lockedForMs: LOCKED_MS, tier: 1, note }
}
