/** What operators see of the lockout, and how they take it back. */
import type { LockEntry, LockoutDesk, UnlockRequest } from '../authentication/lockout.ts'
import { type Account, type LockoutKeys, sourcePrefix, subnetPrefix } from './keys.ts'
import type { HeldLock, LockoutStore, Pardon } from './store.ts'

export function createDesk({
  store,
  keys,
}: {
  readonly store: LockoutStore
  readonly keys: LockoutKeys
}): LockoutDesk {
  function pardonOf(request: UnlockRequest): Pardon {
    if (!('names' in request)) {
      const { address } = request
      const source = keys.source('source', sourcePrefix(address))
      return { of: 'source', keys: [source, keys.source('subnet', subnetPrefix(address))] }
    }
    const { names, subjects, address } = request
    const accounts: Account[] = [...names.map(name => ({ name })), ...subjects.map(subject => ({ subject }))]
    if (address === undefined) return { of: 'account', profiles: accounts.map(keys.account) }
    const prefix = sourcePrefix(address)
    return { of: 'pair', keys: accounts.map(account => keys.count('pair', account, prefix)) }
  }

  return {
    list: async most => (await store.list(most)).map(toEntry),
    unlock: async request => (await store.pardon(pardonOf(request))).map(toEntry),
  }
}

function toEntry({ kind, forMs, tier, note }: HeldLock): LockEntry {
  return { kind, lockedForMs: forMs, tier, ...(note && { note }) }
}
