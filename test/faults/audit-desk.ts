/** A daemon with local users alone, whose audit trail is about to have trouble or an end without notice. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { verify } from '../../src/observe/audit/verify.ts'
import { type AuditRow, openAuditReader } from '../../src/users/audit-table.ts'
import { runCommand } from '../support/daemon.ts'

export const PEOPLE = {
  right: { username: 'alice', password: 'a long secret 1' },
  wrong: { username: 'bob', password: 'not the secret' },
} as const

/** What the row of an answer must say. */
export const VERDICTS: Readonly<Record<number, readonly string[]>> = {
  200: ['accepted'],
  401: ['rejected'],
  429: ['locked_out', 'busy'],
  503: ['unavailable'],
}

/** Writes the configuration and adds the users; resolves to the file. */
export async function prepareDesk(cwd: string, audit: object = {}): Promise<string> {
  const config = join(cwd, 'gatehouse.yaml')
  const listener = { host: '127.0.0.1', port: 0 }
  const parts = {
    listen: listener,
    admin: listener,
    database: join(cwd, 'gatehouse.db'),
    log: { format: 'json' },
    // One source is everybody here: accounts are locked, the source is not.
    lockout: { allow: ['127.0.0.0/8'], max_attempts: 3 },
    audit,
    backends: [{ id: 'local', type: 'local' }],
  }
  writeFileSync(config, JSON.stringify(parts))
  for (const { username } of Object.values(PEOPLE)) {
    const args = ['user', 'add', username, '--password-stdin', '--config', config]
    const added = await runCommand(args, { cwd, input: `${PEOPLE.right.password}\n` })
    if (added.code !== 0) throw new Error(added.stderr)
  }
  return config
}

export interface WrittenAttempt {
  readonly seq: number
  readonly verdict: string
  readonly withheld?: boolean
}

/** What is written down by now, and whether it is what it was. */
export function readTrail(file: string, anchor?: { readonly seq: number; readonly hash: string }) {
  const reader = openAuditReader(file)
  try {
    const rows: AuditRow[] = [...reader.rows()]
    const attempts = new Map<string, WrittenAttempt[]>()
    const events: Record<string, unknown>[] = []
    for (const { seq, body } of rows) {
      const fields = JSON.parse(body)
      events.push(fields)
      if (fields.verdict === undefined) continue
      attempts.set(fields.request_id, [...(attempts.get(fields.request_id) ?? []), { seq, ...fields }])
    }
    return { rows, attempts, events, proof: verify(rows, anchor) }
  } finally {
    reader.close()
  }
}
