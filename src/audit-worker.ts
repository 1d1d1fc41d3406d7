/** The thread of the audit trail: a composition root of its own, since SQLite and the chain are rooms that do not see each other. */
import { parentPort, workerData } from 'node:worker_threads'
import { serveLedger } from './observe/audit/serve-ledger.ts'
import { openAuditTable } from './users/audit-table.ts'

/** What `audit.ts` hands to this thread. */
export interface AuditWorkerData {
  readonly file: string
  readonly retentionMs: number
}

// A report about the process has a part for each thread, which would show the environment of all, whatever the main thread says.
process.report.excludeEnv = true

const { file, retentionMs } = workerData as AuditWorkerData
/** The daemon has been told when it opened its own database, which is in the same folder unless somebody wants otherwise. */
const log = { warn: () => {} }

if (parentPort === null) throw new Error('this is the thread of the audit trail, and no program')
serveLedger(parentPort, { open: () => openAuditTable(file, { log }), retentionMs })
