/** The section `audit` in the words of the code. */
import { dirname, join, parse } from 'node:path'
import type { AuditConfig } from './config.ts'
import type { ConfigValues } from './schema.ts'

/** The audit trail of sound values. */
export function toAudit(
  { enabled, file, names, on_failure, retention }: ConfigValues['audit'],
  database: string,
): AuditConfig {
  return { enabled, file: file ?? besides(database), names, onFailure: on_failure, retentionMs: retention }
}

/** By its name, so that each of two daemons whose databases share a folder has its own. */
function besides(database: string): string {
  const { name, ext } = parse(database)
  return join(dirname(database), `${name}-audit${ext === '' ? '.db' : ext}`)
}
