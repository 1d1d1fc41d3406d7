/** Between the daemon and the thread that writes its audit trail. */
import type { Entry, Head } from './row.ts'

export interface Batch {
  readonly id: number
  /** None: is the trail there? */
  readonly entries: readonly Entry[]
  /** Whether the same batch may have been written already, without an answer. */
  readonly again: boolean
}

export type Order = { readonly order: 'write'; readonly batch: Batch } | { readonly order: 'close' }

/** About a batch, by its id. `reason` is for operators. */
export type Answer =
  | { readonly id: number; readonly written: true; readonly head: Head }
  | { readonly id: number; readonly written: false; readonly reason: string }
