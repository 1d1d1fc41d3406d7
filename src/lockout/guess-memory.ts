import { LRUCache } from 'lru-cache'

/**
 * Wrong passwords that were tried a moment ago, as 16 bits each: a phone that goes on with an old one must not lock its owner
 * (lockout.md, Rules). In memory only, and too little to find a password by.
 */
export interface GuessMemory {
  /**
   * Remembers this one as the account's last.
   *
   * @param account key of its profile
   * @param resolved whether it is somebody's: random names push out no one else's
   * @returns whether it was among the last three
   */
  repeats(account: string, tag: number, resolved: boolean): boolean
}

const LAST = 3
/** Of each kind. */
const MOST_ACCOUNTS = 20_000

export function createGuessMemory(): GuessMemory {
  const known = new LRUCache<string, readonly number[]>({ max: MOST_ACCOUNTS })
  const unresolved = new LRUCache<string, readonly number[]>({ max: MOST_ACCOUNTS })
  return {
    repeats(account, tag, resolved) {
      const memory = resolved ? known : unresolved
      const last = memory.get(account) ?? unresolved.get(account) ?? []
      memory.set(account, [tag, ...last.filter(other => other !== tag)].slice(0, LAST))
      return last.includes(tag)
    },
  }
}
