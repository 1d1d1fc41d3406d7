/** Between the daemon and the thread that writes its audit trail. */
import type { Entry, Head } from './row.ts'

export interface Batch {
  readonly id: number
  /** None: is the trail there? */
  readonly entries: readonly Entry[]
  /** Whether the same batch may have been written already, without an answer. */
  readonly again: boolean
}

/**
 * As it goes between the threads. A batch is flat, its `again` and its id first, then the time and the text of each row: an object
 * for each would have its names copied along with it.
 */
export type Order = 'close' | readonly [again: boolean, id: number, ...rows: (number | string)[]]

export function orderOf({ id, entries, again }: Batch): Order {
  const order: [boolean, number, ...(number | string)[]] = [again, id]
  for (const { at, body } of entries) order.push(at, body)
  return order
}

export function batchOf([again, id, ...rows]: Exclude<Order, 'close'>): Batch {
  const entries: Entry[] = []
  for (let index = 0; index < rows.length; index += 2) {
    entries.push({ at: rows[index] as number, body: rows[index + 1] as string })
  }
  return { id, entries, again }
}

/** About a batch, by its id. `reason` is for operators. */
export type Answer =
  | { readonly id: number; readonly written: true; readonly head: Head }
  | { readonly id: number; readonly written: false; readonly reason: string }
