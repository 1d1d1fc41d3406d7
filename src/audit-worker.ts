/** The thread of the audit trail: a composition root of its own, since SQLite and the chain are rooms that do not see each other. */
import { parentPort, workerData } from 'node:worker_threads'
import { useCompileCache } from './compile-cache.ts'

/** What `audit.ts` hands to this thread. */
export interface AuditWorkerData {
  readonly file: string
  readonly retentionMs: number
  /** Whether the daemon has its compiled code from the cache; a thread has to say so for itself. */
  readonly cached: boolean
}

// A report about the process has a part for each thread, which would show the environment of all, whatever the main thread says.
process.report.excludeEnv = true

const { file, retentionMs, cached } = workerData as AuditWorkerData
if (cached) useCompileCache()
const { serveLedger } = await import('./observe/audit/serve-ledger.ts')
const { openAuditTable } = await import('./users/audit-table.ts')
/** The daemon has been told when it opened its own database, which is in the same folder unless somebody wants otherwise. */
const log = { warn: () => {} }

if (parentPort === null) throw new Error('this is the thread of the audit trail, and no program')
serveLedger(parentPort, { open: () => openAuditTable(file, { log }), retentionMs })
