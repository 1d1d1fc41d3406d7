import type { BackendConfig, Config } from '../../config/config.ts'
import { closeBackend, type LinkParts, openLink, servicesFor } from '../../links.ts'
import type { Finding } from '../../plugin.ts'

/** One backend with every server, in milliseconds: a plugin that hangs must not hang us. */
const LONGEST_MS = 120_000
const PROBE_MS = 10_000

export interface BackendParts extends LinkParts {
  readonly config: Config
  readonly user: string | undefined
}

/** A backend by its own words, or else by whether it can give verdicts. Never throws, never hangs. */
export async function* examineBackend(settings: BackendConfig, parts: BackendParts): AsyncGenerator<Finding> {
  const { plugin, options } = settings
  const { user, config } = parts
  if (plugin.examine === undefined) {
    yield* probe(settings, parts)
    return
  }
  const signal = AbortSignal.timeout(LONGEST_MS)
  try {
    const findings = plugin.examine(options, servicesFor(settings, parts), {
      ...(user !== undefined && { user }),
      lockout: config.lockout,
      signal,
    })
    yield* untilAborted(findings, signal)
  } catch (error) {
    yield bug(error)
  }
}

/** For each finding no longer than the signal lets it. */
async function* untilAborted(findings: AsyncIterable<Finding>, signal: AbortSignal): AsyncGenerator<Finding> {
  const iterator = findings[Symbol.asyncIterator]()
  const late = new Promise<'late'>(resolve => signal.addEventListener('abort', () => resolve('late')))
  for (;;) {
    const next = await Promise.race([iterator.next(), late])
    if (next === 'late') {
      yield { status: 'fail', check: 'examination', detail: `not done within ${LONGEST_MS / 1000} s` }
      return
    }
    if (next.done) return
    yield next.value
  }
}

async function* probe(settings: BackendConfig, parts: BackendParts): AsyncGenerator<Finding> {
  const check = 'can give verdicts'
  try {
    const { backend } = await openLink(settings, parts)
    try {
      const signal = AbortSignal.timeout(PROBE_MS)
      const late = new Promise<'late'>(resolve => signal.addEventListener('abort', () => resolve('late')))
      const health = await Promise.race([backend.probe(signal), late])
      if (health === 'late') yield { status: 'fail', check, detail: `no answer within ${PROBE_MS / 1000} s` }
      else if (health.ok) yield { status: 'ok', check, detail: 'yes' }
      else yield { status: 'fail', check, detail: health.reason }
    } finally {
      await closeBackend(backend, parts.log)
    }
  } catch (error) {
    yield bug(error)
  }
}

function bug(error: unknown): Finding {
  const detail = error instanceof Error ? error.message : String(error)
  return {
    status: 'fail',
    check: 'examination',
    detail,
    advice: 'correct the options of this backend; or it is a bug of it',
  }
}
