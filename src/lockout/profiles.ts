import { LRUCache } from 'lru-cache'
import type { Journal, Profile } from './journal.ts'
import { FAMILIAR_MS, MOST_FAMILIAR, MOST_NAMES } from './store.ts'

/** What is known of accounts beside their counts. Profiles are named by their keys. */
export interface Profiles {
  /** @param looks changes nothing, also not which profile is the next to go */
  isFamiliar(profile: string, source: string, nowMs: number, looks?: 'only looks'): boolean
  /** Somebody logged in from there. */
  welcome(source: string, profiles: readonly string[], nowMs: number): void
  /** A name was found to be these subjects. */
  link(name: string, subjects: readonly string[]): void
  /** These and all that they are linked with, however far. */
  linked(profiles: readonly string[]): ReadonlySet<string>
  /** What was written down before. */
  restore(key: string, profile: Profile, nowMs: number): void
  size(): number
  bytes(): number
}

const NOBODY: Profile = { familiar: [], subjects: [], names: [] }
/** A login this long after the last one from there is not worth writing down. */
const SOON_MS = 3_600_000
/** Upper bounds of what V8 needs; test/lockout/memory-store.test.ts measures it. */
const PROFILE_BYTES = 600
const FAMILIAR_BYTES = 200
const LINK_BYTES = 100

/** The profiles of the accounts that were used last, within so many bytes. */
export function createProfiles(bytes: number, journal: Pick<Journal, 'put'>): Profiles {
  const profiles = new LRUCache<string, Profile>({
    maxSize: bytes,
    sizeCalculation: ({ familiar, subjects, names }) =>
      PROFILE_BYTES + familiar.length * FAMILIAR_BYTES + (subjects.length + names.length) * LINK_BYTES,
    dispose(_, key, reason) {
      if (reason === 'evict') journal.put(key, undefined)
    },
  })

  function change(key: string, changes: Partial<Profile>): void {
    const profile = { ...(profiles.get(key) ?? NOBODY), ...changes }
    profiles.set(key, profile)
    journal.put(key, { what: 'profile', profile })
  }

  function welcomeTo(key: string, source: string, nowMs: number): void {
    const { familiar } = profiles.get(key) ?? NOBODY
    const last = familiar.at(-1)
    if (last?.source === source && last.untilMs + SOON_MS > nowMs + FAMILIAR_MS) return
    const others = familiar.filter(known => known.source !== source && known.untilMs > nowMs)
    const added = [...others, { source, untilMs: nowMs + FAMILIAR_MS }]
    change(key, { familiar: added.slice(-MOST_FAMILIAR) })
  }

  return {
    isFamiliar(key, source, nowMs, looks) {
      const find = (one: string) => (looks ? profiles.peek(one) : profiles.get(one))
      const isIn = (profile: Profile | undefined) =>
        profile?.familiar.some(known => known.source === source && known.untilMs > nowMs) ?? false
      const profile = find(key)
      if (profile === undefined) return false
      return isIn(profile) || profile.subjects.some(subject => isIn(find(subject)))
    },

    welcome(source, keys, nowMs) {
      for (const key of keys) welcomeTo(key, source, nowMs)
    },

    link(name, subjects) {
      const known = profiles.get(name)?.subjects ?? []
      const linked = subjects.reduce(withNewest, known)
      if (linked !== known) change(name, { subjects: linked })
      for (const subject of subjects) {
        const names = profiles.get(subject)?.names ?? []
        const more = withNewest(names, name)
        if (more !== names) change(subject, { names: more })
      }
    },

    linked(keys) {
      const found = new Set(keys)
      // A set hands out what is added while it is gone through.
      for (const key of found) {
        const { subjects, names } = profiles.peek(key) ?? NOBODY
        for (const other of [...subjects, ...names]) found.add(other)
      }
      return found
    },

    restore(key, profile, nowMs) {
      const familiar = profile.familiar.filter(({ untilMs }) => untilMs > nowMs)
      if (familiar.length + profile.subjects.length + profile.names.length > 0) {
        profiles.set(key, { ...profile, familiar })
      }
    },

    size: () => profiles.size,
    bytes: () => profiles.calculatedSize,
  }
}

function withNewest(known: readonly string[], key: string): readonly string[] {
  return known.includes(key) ? known : [...known, key].slice(-MOST_NAMES)
}
