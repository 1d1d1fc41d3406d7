/** The thread that writes the audit trail, as the daemon sees it. */
import { Worker } from 'node:worker_threads'
import { type Answer, type Batch, type Order, orderOf } from './worker-messages.ts'

export interface Writer {
  /** One at a time: the next one after the answer. */
  write(batch: Batch): void
  /** Resolves when the file is closed and the thread is gone; rejects never. */
  close(): Promise<void>
}

export interface WriterEvents {
  readonly onAnswer: (answer: Answer) => void
  /** It is gone, and nobody wanted that. */
  readonly onEnd: (reason: string) => void
}

export type StartWriter = (events: WriterEvents) => Writer

/** In milliseconds. A disk that hangs does not keep the daemon from ending. */
const CLOSE_MS = 1_000

/**
 * @param script runs `serveLedger`
 * @param workerData what that wants
 */
export function createStartWriter(script: URL, workerData: unknown): StartWriter {
  return ({ onAnswer, onEnd }) => {
    // No environment and no flags of this process: it needs neither, and the environment may hold secrets.
    const worker = new Worker(script, { name: 'audit', env: {}, execArgv: [], workerData })
    const gone = Promise.withResolvers<void>()
    let reason = 'the thread of the audit trail has ended'
    let closing = false
    // Only while it owes an answer does it keep the process alive.
    worker.unref()
    worker.on('message', (answer: Answer) => {
      worker.unref()
      onAnswer(answer)
    })
    worker.on('error', error => {
      reason = `the thread of the audit trail died: ${error instanceof Error ? error.message : String(error)}`
    })
    worker.on('exit', () => {
      gone.resolve()
      if (!closing) onEnd(reason)
    })
    const send = (order: Order) => {
      worker.ref()
      worker.postMessage(order)
    }
    return {
      write: batch => send(orderOf(batch)),
      async close() {
        closing = true
        send('close')
        const late = setTimeout(() => {
          // A thread that hangs in the kernel cannot be ended either.
          void worker.terminate()
          worker.unref()
          gone.resolve()
        }, CLOSE_MS)
        await gone.promise
        clearTimeout(late)
      },
    }
  }
}
