import { withDeadline } from '../../authentication/deadline.ts'
import type { Username } from '../../authentication/username.ts'
import { createUsernameFilter } from '../../authentication/username-filter.ts'
import type { BackendConfig, Config } from '../../config/config.ts'
import { closeBackend, type LinkParts, openLink, servicesFor } from '../../links.ts'
import type { Finding } from '../../plugin.ts'

/** One backend with every server, in milliseconds: a plugin that hangs must not hang us. */
const LONGEST_MS = 120_000
const PROBE_MS = 10_000
/** To close what it has opened, once it is late, in milliseconds. */
const LET_GO_MS = 3_000

export interface PersonAskedFor {
  /** As it was typed. */
  readonly user: string
  readonly username: Username
}

export interface BackendParts extends LinkParts {
  readonly config: Config
  /** Whom to look for, if anybody. */
  readonly person: PersonAskedFor | undefined
}

/**
 * A backend by its own words, or else by whether it can give verdicts. Never throws, never hangs.
 *
 * @param longestMs for all of it, in milliseconds
 */
export async function* examineBackend(
  settings: BackendConfig,
  parts: BackendParts,
  longestMs = LONGEST_MS,
): AsyncGenerator<Finding> {
  const { plugin, options } = settings
  const { config } = parts
  if (plugin.examine === undefined) {
    yield* probe(settings, parts)
    return
  }
  const { person } = parts
  const asked = person && isAsked(settings, person)
  if (person && !asked) yield notAsked(person)
  const deadline = createDeadline(longestMs)
  try {
    const { signal } = deadline
    const findings = plugin.examine(options, servicesFor(settings, parts), {
      ...(asked && person),
      lockout: config.lockout,
      signal,
    })
    yield* untilLate(findings, deadline)
  } catch (error) {
    yield bug(error)
  } finally {
    deadline.clear()
  }
}

/** Whether the chain asks this backend about the name. */
function isAsked({ usernameFilter }: BackendConfig, { username }: PersonAskedFor): boolean {
  return createUsernameFilter(usernameFilter)(username.text)
}

function notAsked({ user }: PersonAskedFor): Finding {
  const detail = 'not asked for this name: `username_filter` does not let it through; anybody will do here'
  return { status: 'ok', check: `user ${user}`, detail, user: 'not_asked' }
}

interface Deadline {
  readonly signal: AbortSignal
  readonly late: Promise<'late'>
  readonly ms: number
  clear(): void
}

/** Unlike `AbortSignal.timeout` it keeps the process: else one that waits for nothing but it would end without a word. */
function createDeadline(ms: number): Deadline {
  const controller = new AbortController()
  const { promise: late, resolve } = Promise.withResolvers<'late'>()
  const timer = setTimeout(() => {
    resolve('late')
    controller.abort(new Error(`not done within ${ms} ms`))
  }, ms)
  return { signal: controller.signal, late, ms, clear: () => clearTimeout(timer) }
}

/** For each finding no longer than the deadline lets it. */
async function* untilLate(findings: AsyncIterable<Finding>, { late, ms }: Deadline): AsyncGenerator<Finding> {
  const iterator = findings[Symbol.asyncIterator]()
  try {
    for (;;) {
      const next = await Promise.race([iterator.next(), late])
      if (next === 'late') {
        yield { status: 'fail', check: 'examination', detail: `not done within ${ms / 1000} s` }
        return
      }
      if (next.done) return
      yield next.value
    }
  } finally {
    await letGo(iterator)
  }
}

/** Whoever is left at a finding still has connections open, and those would keep this process from ending. */
async function letGo(iterator: AsyncIterator<Finding>): Promise<void> {
  try {
    await withDeadline(LET_GO_MS, async () => iterator.return?.())
  } catch {
    // It was called off: what it says now is about that.
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
