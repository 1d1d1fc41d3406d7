import { existsSync } from 'node:fs'
import type { Config } from '../../config/config.ts'
import { adminTokenFile } from '../../http/admin-token.ts'
import type { Finding } from '../../plugin.ts'
import { adminUrl } from '../admin-client.ts'

/** In milliseconds, for the whole answer. */
const ANSWER_MS = 2_000
/** A report on a hundred backends is far smaller. */
const MAX_CHARS = 1_000_000

/** What the daemon says of its configuration, at `/readyz` of its admin listener. */
interface Served {
  readonly ok: boolean
  readonly loadedAt: string
  readonly reason: string | undefined
  readonly needsRestart: readonly string[]
}

/** Does the daemon, if one runs, serve what is on disk, and can the commands reach it? */
export async function* examineServed(config: Pick<Config, 'admin' | 'database'>): AsyncGenerator<Finding> {
  if (config.admin.port === 0) return
  const served = await askServed(adminUrl(config)).catch(() => undefined)
  if (served === undefined) return
  yield describe(served)
  const file = adminTokenFile(config.database)
  if (existsSync(file)) return
  yield {
    status: 'warn',
    check: 'admin token',
    detail: `there is no ${file}, which the daemon wrote at its start`,
    advice:
      'is it the daemon of this configuration? If so, another one on this database took it away: restart it',
  }
}

function describe({ ok, loadedAt, reason, needsRestart }: Served): Finding {
  const check = 'configuration served'
  if (!ok) {
    const detail = `the daemon refused the last one and serves that of ${loadedAt}: ${reason}`
    return {
      status: 'warn',
      check,
      detail,
      advice: 'correct the file; the log of the daemon has every reason',
    }
  }
  if (needsRestart.length > 0) {
    const detail = `${needsRestart.join(', ')} changed since the daemon was started, and it goes on as it was`
    return { status: 'warn', check, detail, advice: 'restart the daemon' }
  }
  return { status: 'ok', check, detail: `as it was read on ${loadedAt}` }
}

/** @returns undefined if what answers says no such thing */
async function askServed(url: string): Promise<Served | undefined> {
  const { body } = await fetch(new URL('/readyz', url), {
    signal: AbortSignal.timeout(ANSWER_MS),
    redirect: 'error',
  })
  let text = ''
  for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += chunk
    if (text.length > MAX_CHARS) return undefined
  }
  return readServed(JSON.parse(text))
}

function readServed(answer: unknown): Served | undefined {
  const config = isObject(answer) ? answer.config : undefined
  if (!isObject(config) || typeof config.ok !== 'boolean') return undefined
  const { loaded_at: loadedAt, reason, needs_restart: keys } = config
  return {
    ok: config.ok,
    loadedAt: String(loadedAt),
    reason: typeof reason === 'string' ? reason : undefined,
    needsRestart: Array.isArray(keys) ? keys.map(String) : [],
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
