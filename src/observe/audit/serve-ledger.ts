/** The inside of the thread: batches come, answers go. It opens the file anew after everything that goes wrong. */
import type { MessagePort } from 'node:worker_threads'
import { type AuditTable, createLedger, type Ledger } from './ledger.ts'
import { type Answer, type Batch, batchOf, type Order } from './worker-messages.ts'

export interface LedgerOptions {
  /** @throws Error when it cannot be used; the message says why */
  readonly open: () => AuditTable
  readonly retentionMs: number
}

const CUT_EVERY_MS = 3_600_000
/** Between two steps of one cutting, for what waits to be written. */
const NEXT_CUT_MS = 20

/** Serves the port until it is told to close. */
export function serveLedger(port: MessagePort, { open, retentionMs }: LedgerOptions): void {
  let ledger: Ledger | undefined
  let cutting: NodeJS.Timeout | undefined

  function write({ id, entries, again }: Batch): Answer {
    try {
      if (ledger === undefined) {
        ledger = createLedger(open(), Date.now)
        cutIn(NEXT_CUT_MS)
      }
      return { id, written: true, head: ledger.append(entries, again) }
    } catch (error) {
      letGo()
      return { id, written: false, reason: error instanceof Error ? error.message : String(error) }
    }
  }

  /** What a failed write has left in the connection's head is not trusted. */
  function letGo(): void {
    clearTimeout(cutting)
    try {
      ledger?.close()
    } catch {
      // It is let go of either way.
    }
    ledger = undefined
  }

  function cutIn(ms: number): void {
    clearTimeout(cutting)
    cutting = setTimeout(cut, ms).unref()
  }

  function cut(): void {
    let more = false
    try {
      more = ledger?.cut(Date.now() - retentionMs) ?? false
    } catch {
      // The next time: who writes tells about the outage, and rows too many do no harm.
    }
    cutIn(more ? NEXT_CUT_MS : CUT_EVERY_MS)
  }

  port.on('message', (order: Order) => {
    if (order !== 'close') {
      port.postMessage(write(batchOf(order)))
      return
    }
    letGo()
    port.close()
  })
}
