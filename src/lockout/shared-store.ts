import type { LockNote } from '../authentication/lockout.ts'
import type { LockoutStore, Pardon, Place, Refused, Taken } from './store.ts'

/** A store whose counts are also those of other replicas, each of which keeps a shadow of its own (failover-store.ts). */
export interface SharedStore extends LockoutStore {
  reserve(
    places: readonly Place[],
    note: LockNote,
  ): Promise<({ readonly outcome: 'reserved'; readonly lease: string } & SharedTaken) | Refused>
  extend(
    lease: string,
    places: readonly Place[],
    note: LockNote,
  ): Promise<({ readonly outcome: 'extended' } & SharedTaken) | { readonly outcome: 'lease_over' } | Refused>
  /** As of the last `reserve`. */
  latest(): Latest
  /**
   * What others than this store were asked to pardon after that one, oldest first; only of the last day.
   *
   * @throws {UnavailableError} if it cannot be known
   */
  pardonsSince(number: number): Promise<readonly Pardon[]>
}

export interface SharedTaken extends Taken {
  /** Profiles that were found to come from a familiar source, if any. */
  readonly familiar?: readonly string[]
}

export interface Latest {
  /** Number of the last pardon by anybody; 0 for none within a day. */
  readonly pardon: number
  /** Another one once the store has forgotten everything. */
  readonly memory?: string
}
