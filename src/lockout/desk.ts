/** What operators see of the lockout, and how they take it back. */
import type { LockEntry, LockKind, LockoutDesk, UnlockRequest } from '../authentication/lockout.ts'
import { type Account, type LockoutKeys, sourcePrefix, subnetPrefix } from './keys.ts'
import type { HeldLock, LockoutStore, Pardon } from './store.ts'

/** @param isWatched whether locks of this kind refuse nobody who comes from this address */
export function createDesk({
  store,
  keys,
  isWatched,
}: {
  readonly store: LockoutStore
  readonly keys: LockoutKeys
  readonly isWatched: (kind: LockKind, address: string) => boolean
}): LockoutDesk {
  function toEntry({ kind, forMs, tier, note }: HeldLock): LockEntry {
    const watched = note !== undefined && isWatched(kind, note.address)
    return { kind, lockedForMs: forMs, tier, ...(note && { note }), ...(watched && { watched }) }
  }

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
    return { of: 'pair', keys: accounts.map(account => keys.pair(keys.account(account), prefix)) }
  }

  return {
    list: async most => (await store.list(most)).map(toEntry),
    unlock: async request => (await store.pardon(pardonOf(request))).map(toEntry),
  }
}
