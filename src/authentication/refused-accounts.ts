import type { Clock } from './clock.ts'

/**
 * Accounts of the daemon's own that a server has refused. They are tried again only after a while, whatever configuration asks
 * for them: else reload after reload would get them locked (chain.md, Retry rules).
 */
export interface RefusedAccounts {
  /**
   * @param account tells it from every other, its secret and its servers included; anything secret only as a hash
   * @returns why it was refused, as long as it must not be tried again
   */
  refusal(account: string): string | undefined
  /** @param forMs how long it is to be left alone, in milliseconds */
  refuse(account: string, reason: string, forMs: number): void
}

interface Refused {
  readonly reason: string
  /** In monotonic milliseconds. */
  readonly until: number
}

/** Those of configurations that came and went; the oldest go first. */
const MOST_ACCOUNTS = 1_000

export function createRefusedAccounts(clock: Clock): RefusedAccounts {
  const accounts = new Map<string, Refused>()
  return {
    refusal(account) {
      const refused = accounts.get(account)
      if (refused && refused.until > clock.now()) return refused.reason
      accounts.delete(account)
      return undefined
    },
    refuse(account, reason, forMs) {
      accounts.delete(account)
      accounts.set(account, { reason, until: clock.now() + forMs })
      const [oldest] = accounts.keys()
      if (accounts.size > MOST_ACCOUNTS && oldest !== undefined) accounts.delete(oldest)
    },
  }
}
