/** The audit trail of this configuration: its file, its thread, and what happens when it cannot be written. */
import { getCompileCacheDir } from 'node:module'
import type { AuditWorkerData } from './audit-worker.ts'
import { noAudit } from './authentication/audit.ts'
import { systemClock } from './authentication/clock.ts'
import type { Log } from './authentication/log.ts'
import type { HashUser } from './authentication/user-hash.ts'
import type { Config } from './config/config.ts'
import { describeAttempt, describeNote } from './observe/audit/describe.ts'
import { type AuditTrail, createAuditTrail } from './observe/audit/trail.ts'
import { createStartWriter } from './observe/audit/writer.ts'

const SCRIPT = import.meta.url.endsWith('.ts') ? './audit-worker.ts' : './audit-worker.js'

/**
 * The trail, which `begin` opens. One that cannot be opened does not keep the daemon from starting: with `deny` it answers 503
 * until it can, and takes it up by itself.
 */
export function createAudit(
  { audit }: Pick<Config, 'audit'>,
  { hashUser, log }: { readonly hashUser: HashUser; readonly log: Log },
): AuditTrail {
  const { file, names, onFailure, retentionMs } = audit
  if (!audit.enabled) {
    log.warn({}, 'audit.enabled is false: nobody can prove later who has logged in')
    return noTrail
  }
  const data: AuditWorkerData = { file, retentionMs, cached: getCompileCacheDir() !== undefined }
  return createAuditTrail({
    startWriter: createStartWriter(new URL(SCRIPT, import.meta.url), data),
    onFailure,
    describe: event => describeAttempt(event, names, hashUser),
    describeNote: note => describeNote(note, names),
    clock: systemClock,
    log,
  })
}

const noTrail: AuditTrail = {
  ...noAudit,
  begin: async () => {},
  health: () => ({ ok: true }),
  report: () => ({ waiting: 0, failed: 0, lost: 0 }),
  close: async () => {},
}
