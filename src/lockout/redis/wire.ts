/** What goes to the script as JSON, and what comes back. Names and addresses only as a sealed note. */
import type { LockKind } from '../../authentication/lockout.ts'
import type { State } from '../policy.ts'
import type { Latest, SharedTaken } from '../shared-store.ts'
import type { Ending, Pardon, Place, Refused } from '../store.ts'

export const KINDS: readonly LockKind[] = ['pair', 'unfamiliar', 'familiar', 'source', 'subnet', 'directory']

export type Request =
  | {
      readonly step: 'reserve' | 'extend'
      readonly lease: string
      readonly places: readonly Place[]
      readonly note: string
    }
  | { readonly step: 'end'; readonly lease: string; readonly ending: Ending; readonly note: string }
  | { readonly step: 'abandon'; readonly leases: readonly string[] }
  | { readonly step: 'inspect'; readonly places: readonly Place[] }
  | { readonly step: 'list'; readonly most: number }
  | { readonly step: 'pardon'; readonly pardon: Pardon; readonly by: string }
  | { readonly step: 'pardons'; readonly since: number }
  | { readonly step: 'count' }

/** As cjson writes it: an empty list is `{}`. */
export type LuaList<T> = readonly T[] | Readonly<Record<string, never>>

export interface Lock {
  readonly key: string
  readonly kind: LockKind
  readonly forMs: number
  readonly tier: number
  /** Sealed. */
  readonly note?: string
}

export interface Answers {
  reserve: (
    | ({ readonly outcome: 'reserved' } & SharedTaken)
    | { readonly outcome: 'abandoned' }
    | Refused
  ) & { readonly latest?: Latest }
  extend: ({ readonly outcome: 'extended' } & SharedTaken) | { readonly outcome: 'lease_over' } | Refused
  end: { readonly locked: boolean }
  abandon: object
  inspect: { readonly states: LuaList<State & { readonly kind: LockKind }> }
  list: { readonly locks: LuaList<Lock> }
  pardon: { readonly locks: LuaList<Lock> }
  /** Each one JSON of a `NotedPardon`. */
  pardons: { readonly pardons: LuaList<string> }
  count: object
}

export interface NotedPardon {
  readonly number: number
  /** The store that was asked for it. */
  readonly by: string
  readonly pardon: Pardon
}

export interface Reply<Step extends keyof Answers> {
  readonly answer: Answers[Step]
  /** Leases that nobody ended, which this step counted as failures. */
  readonly lost?: number
  /** How many locks hold, where the step may have changed that. */
  readonly locked?: Readonly<Partial<Record<LockKind, number>>>
  /** In the whole database, if the user may know. */
  readonly keys?: number
}

export function listOf<T>(list: LuaList<T>): readonly T[] {
  return Array.isArray(list) ? list : []
}
