import { LRUCache } from 'lru-cache'
import type { Journal, Profile } from './journal.ts'
import { FAMILIAR_MS, MOST_FAMILIAR, MOST_NAMES } from './store.ts'

/** What is known of accounts beside their counts. Profiles are named by their keys. */
export interface Profiles {
  /** @param looks changes nothing, also not which profile is the next to go */
  isFamiliar(profile: string, source: string, nowMs: number, looks?: 'only looks'): boolean
  /** Whether this name was ever found to be somebody. Changes nothing. */
  isSomebodys(name: string): boolean
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

const NONE: readonly never[] = []
const NOBODY: Profile = { familiar: NONE, subjects: NONE, names: NONE }
/** A login this long after the last one from there is not worth writing down. */
const SOON_MS = 3_600_000
/** Upper bounds of what V8 needs; test/lockout/memory-store.test.ts measures it. */
const PROFILE_BYTES = 320
const FAMILIAR_BYTES = 140
const LINK_BYTES = 100

/** So much of the room is for accounts that somebody has logged in to. */
const WELCOME_PART = 0.75

/**
 * The profiles of the accounts that were used last, within so many bytes. Those that a right password was given for are apart, so
 * that guessing at everybody makes nobody's machines unfamiliar.
 */
export function createProfiles(bytes: number, journal: Pick<Journal, 'put'>): Profiles {
  const welcomed = open(bytes * WELCOME_PART)
  const found = open(bytes * (1 - WELCOME_PART))
  const profiles = {
    get: (key: string) => welcomed.get(key) ?? found.get(key),
    peek: (key: string) => welcomed.peek(key) ?? found.peek(key),
    set(key: string, profile: Profile) {
      const [here, there] = profile.familiar.length > 0 ? [welcomed, found] : [found, welcomed]
      there.delete(key)
      here.set(key, profile)
    },
  }

  function open(room: number): LRUCache<string, Profile> {
    return new LRUCache({
      maxSize: Math.floor(room),
      sizeCalculation: ({ familiar, subjects, names }) =>
        PROFILE_BYTES + familiar.length * FAMILIAR_BYTES + (subjects.length + names.length) * LINK_BYTES,
      dispose(_, key, reason) {
        if (reason === 'evict') journal.put(key, undefined)
      },
    })
  }

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
      const profile = looks ? profiles.peek(key) : profiles.get(key)
      if (profile === undefined) return false
      if (hasIn(profile, source, nowMs)) return true
      for (const subject of profile.subjects) {
        if (hasIn(looks ? profiles.peek(subject) : profiles.get(subject), source, nowMs)) return true
      }
      return false
    },

    isSomebodys(name) {
      const { familiar, subjects } = profiles.peek(name) ?? NOBODY
      return familiar.length > 0 || subjects.length > 0
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
      const linked = new Set(keys)
      // A set hands out what is added while it is gone through.
      for (const key of linked) {
        const { subjects, names } = profiles.peek(key) ?? NOBODY
        for (const other of [...subjects, ...names]) linked.add(other)
      }
      return linked
    },

    restore(key, profile, nowMs) {
      const familiar = packed(profile.familiar.filter(({ untilMs }) => untilMs > nowMs))
      const [subjects, names] = [packed(profile.subjects), packed(profile.names)]
      if (familiar.length + subjects.length + names.length > 0)
        profiles.set(key, { familiar, subjects, names })
    },

    size: () => welcomed.size + found.size,
    bytes: () => welcomed.calculatedSize + found.calculatedSize,
  }
}

function hasIn(profile: Profile | undefined, source: string, nowMs: number): boolean {
  if (profile === undefined) return false
  for (const known of profile.familiar) if (known.source === source && known.untilMs > nowMs) return true
  return false
}

/** A list that grew has room for more, and even an empty one has a place in memory: what is kept for long is not to pay for it. */
function packed<T>(list: readonly T[]): readonly T[] {
  return list.length === 0 ? NONE : list.slice()
}

function withNewest(known: readonly string[], key: string): readonly string[] {
  return known.includes(key) ? known : [...known, key].slice(-MOST_NAMES)
}
