import { LRUCache } from 'lru-cache'
import type { Clock, Username } from '../../plugin.ts'
import type { Admitted } from './admission.ts'
import { keeping } from './cache-options.ts'
import type { Person } from './person/user.ts'

/** A person as found by a name, with their groups. No password and nothing derived from one. */
export interface Entry {
  readonly person: Person
  readonly admitted: Admitted
}

/** Who logged in a moment ago, so that the next login is one bind. The bind proves every password. */
export interface EntryCache {
  get(username: Username): Entry | undefined
  put(username: Username, entry: Entry): void
  drop(username: Username): void
}

const MAX_ENTRIES = 10_000
/** Over all entries, so that people with thousands of groups take no more room than others. */
const MAX_GROUPS = 500_000

/** @param ttlMs how long an entry is kept, however often it is used */
export function createEntryCache(ttlMs: number, clock: Clock): EntryCache {
  const entries = new LRUCache<string, Entry>({
    ...keeping(MAX_ENTRIES, ttlMs, clock),
    maxSize: MAX_GROUPS,
    sizeCalculation: ({ admitted }) => 1 + admitted.user.groups.length,
  })
  return {
    get: username => entries.get(keyOf(username)),
    put: (username, entry) => void entries.set(keyOf(username), entry),
    drop: username => void entries.delete(keyOf(username)),
  }
}

/** What the filter is made of: NUL can stand in no name. */
function keyOf({ user, typed }: Username): string {
  return `${user}\0${typed}`
}
