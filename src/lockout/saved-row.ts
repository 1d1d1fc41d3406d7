/**
 * One entry of the journal as text, and its times across restarts. The monotonic clock of a process ends with it, so
 * times are written down relative to the moment of writing, and that moment by two other clocks: the machine's since
 * its boot, and the wall clock for when it has booted meanwhile.
 */
import { type Static, Type } from 'typebox'
import { Compile } from 'typebox/schema'
import type { Clock } from '../authentication/clock.ts'
import type { LockKind } from '../authentication/lockout.ts'
import type { Boot } from './boot.ts'
import type { Saved } from './journal.ts'
import { FORGET_MS } from './policy.ts'
import { FAMILIAR_MS } from './store.ts'

export interface Clocks {
  readonly clock: Clock
  readonly boot: Boot
}

/** What stands in a row beside its key. `expiresAt` is wall-clock milliseconds since the Unix epoch. */
export interface Written {
  readonly value: string
  readonly expiresAt: number
}

export type TakenUp =
  /** `moved`: to write in its place, where its clocks are no longer the ones that run. */
  | { readonly found: 'saved'; readonly saved: Saved; readonly moved?: Written }
  | { readonly found: 'spent' | 'garbage' }

/** A failure is kept so long, whatever the window it counts in. */
const FAILURE_MS = 24 * 3_600_000
/** Directories forget late, at most after 99,999 minutes ([MS-SAMR] section 3.1.1.9), and are never to lock by our doing. */
const DIRECTORY_FAILURE_MS = 100_000 * 60_000

const NEVER = Number.NEGATIVE_INFINITY

const KINDS: Readonly<Record<LockKind, LockKind>> = {
  pair: 'pair',
  unfamiliar: 'unfamiliar',
  familiar: 'familiar',
  source: 'source',
  subnet: 'subnet',
  directory: 'directory',
}

const Kind = Type.Enum(KINDS)
const Lock = Type.Object({
  untilMs: Type.Number(),
  tier: Type.Integer({ minimum: 1 }),
  passed: Type.Optional(Type.Boolean()),
})
const Row = Type.Object({
  at: Type.Object({
    wallMs: Type.Number(),
    bootMs: Type.Number(),
    boot: Type.Optional(Type.String()),
    /** Had passed already when the row was moved to other clocks. */
    passedMs: Type.Optional(Type.Number({ minimum: 0 })),
  }),
  /** It matters so long from the moment on. */
  keepMs: Type.Number(),
  saved: Type.Union([
    Type.Object({
      what: Type.Literal('record'),
      kind: Kind,
      owner: Type.Optional(Type.String()),
      record: Type.Object({
        failures: Type.Array(Type.Object({ atMs: Type.Number({ maximum: 0 }), account: Type.String() })),
        lock: Type.Optional(Lock),
      }),
    }),
    Type.Object({
      what: Type.Literal('profile'),
      profile: Type.Object({
        familiar: Type.Array(Type.Object({ source: Type.String(), untilMs: Type.Number() })),
        subjects: Type.Array(Type.String()),
        names: Type.Array(Type.String()),
      }),
    }),
    Type.Object({
      what: Type.Literal('unresolved'),
      kind: Kind,
      owner: Type.Optional(Type.String()),
      lock: Lock,
    }),
  ]),
})
type Row = Omit<Static<typeof Row>, 'saved'> & { readonly saved: Saved }

const rowShape = Compile(Row)

/** @returns undefined for what no longer matters */
export function writeDown(saved: Saved, clocks: Clocks): Written | undefined {
  const nowMs = clocks.clock.now()
  const keepMs = Math.ceil(endOf(saved, nowMs) - nowMs)
  if (keepMs <= 0) return undefined
  // Rounded up: no lock is shorter for having been written down.
  const relative = withTimes(saved, ms => Math.ceil(ms - nowMs))
  return write({ at: momentOf(clocks), keepMs, saved: relative }, clocks)
}

/**
 * Times come back on the clock of this process. In the same boot they are exact, whatever the wall clock did. After
 * another boot a wall clock that was set back makes no lock longer than it was when it was written.
 */
export function takeUp({ value, expiresAt }: Written, clocks: Clocks): TakenUp {
  const row = parse(value)
  if (row === undefined) return { found: 'garbage' }
  const { clock, boot } = clocks
  const { at, keepMs, saved: relative } = row
  const sinceMs = boot.nowMs() - at.bootMs
  const sameBoot = at.boot !== undefined && at.boot === boot.id && sinceMs >= 0
  const passedMs = (at.passedMs ?? 0) + (sameBoot ? sinceMs : Math.max(0, clock.wall() - at.wallMs))
  if (passedMs >= keepMs) return { found: 'spent' }
  const nowMs = clock.now()
  const saved = withTimes(relative, ms => nowMs + ms - passedMs)
  if (saved.what === 'profile') {
    const familiar = saved.profile.familiar.filter(({ untilMs }) => untilMs > nowMs)
    return kept({ what: 'profile', profile: { ...saved.profile, familiar } })
  }
  return kept(saved)

  function kept(saved: Saved): TakenUp {
    if (sameBoot && expiresAt > clock.wall()) return { found: 'saved', saved }
    const moved = write({ at: { ...momentOf(clocks), passedMs }, keepMs, saved: relative }, clocks)
    return { found: 'saved', saved, moved }
  }
}

function write(row: Row, { clock }: Clocks): Written {
  const leftMs = row.keepMs - (row.at.passedMs ?? 0)
  return { value: JSON.stringify(row), expiresAt: Math.ceil(clock.wall() + leftMs) }
}

function parse(value: string): Row | undefined {
  try {
    const row: unknown = JSON.parse(value)
    return rowShape.Check(row) ? row : undefined
  } catch {
    return undefined
  }
}

function momentOf({ clock, boot }: Clocks): Row['at'] {
  return { wallMs: clock.wall(), bootMs: boot.nowMs(), ...(boot.id !== undefined && { boot: boot.id }) }
}

/** From when on it changes no decision, as `isSpent` for the longest window there is. */
function endOf(saved: Saved, nowMs: number): number {
  switch (saved.what) {
    case 'record': {
      const { failures, lock } = saved.record
      const failureMs = saved.kind === 'directory' ? DIRECTORY_FAILURE_MS : FAILURE_MS
      const last = failures.at(-1)
      return Math.max(
        last === undefined ? NEVER : last.atMs + failureMs,
        lock === undefined ? NEVER : lock.untilMs + FORGET_MS,
      )
    }
    case 'unresolved':
      return saved.lock.untilMs + FORGET_MS
    case 'profile': {
      const { familiar, subjects, names } = saved.profile
      // Who is who has no end of its own: as long as a login is remembered.
      const links = subjects.length + names.length > 0 ? nowMs + FAMILIAR_MS : NEVER
      return Math.max(links, ...familiar.map(({ untilMs }) => untilMs))
    }
  }
}

/** Built field by field: whatever else the objects carry, a name for one, is not for a file. */
function withTimes(saved: Saved, move: (ms: number) => number): Saved {
  const moveLock = ({ untilMs, tier, passed }: Static<typeof Lock>) => ({
    untilMs: move(untilMs),
    tier,
    ...(passed && { passed }),
  })
  switch (saved.what) {
    case 'record': {
      const { what, kind, owner, record } = saved
      const failures = record.failures.map(({ atMs, account }) => ({ atMs: move(atMs), account }))
      const lock = record.lock && moveLock(record.lock)
      return {
        what,
        kind,
        ...(owner !== undefined && { owner }),
        record: { failures, ...(lock && { lock }) },
      }
    }
    case 'unresolved': {
      const { what, kind, owner, lock } = saved
      return { what, kind, ...(owner !== undefined && { owner }), lock: moveLock(lock) }
    }
    case 'profile': {
      const { familiar, subjects, names } = saved.profile
      return {
        what: saved.what,
        profile: {
          familiar: familiar.map(({ source, untilMs }) => ({ source, untilMs: move(untilMs) })),
          subjects,
          names,
        },
      }
    }
  }
}
