import type { Clock, Log } from '../../../plugin.ts'
import type { ServiceIdentity } from '../wire/connection.ts'
import { DirectoryFailure } from '../wire/failure.ts'
import { describe, SUCCESS } from '../wire/result.ts'
import { isOutOfOrder, type Line } from './line.ts'
import type { Servers } from './servers.ts'

/** The service account: one try at a time, and after a refusal one a minute, whichever server it is. */
export interface Service {
  /** @throws {DirectoryFailure} while the account is refused */
  mayTry(): void
  /**
   * Makes the line the service account's.
   *
   * @param failed told when the server and not the account is to blame
   * @throws {DirectoryFailure} `connectionLost` only if another server may do better
   */
  signIn(line: Line, failed: Servers['failed'], signal: AbortSignal): Promise<void>
}

/** A refused account is not tried more often, lest the directory lock it (chain.md, Retry rules). */
const RETRY_MS = 60_000

/**
 * The account is refused, and not the server out of order: the way it proves itself is not allowed, the password or the
 * certificate is wrong, it is locked, expired, deactivated or gone. Every server of a directory would say the same.
 */
const REFUSALS: ReadonlySet<number> = new Set([7, 8, 13, 14, 19, 32, 34, 48, 49, 50, 53])

export function createService(
  identity: ServiceIdentity,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): Service {
  let refused: { readonly until: number; readonly reason: string } | undefined
  let last: Promise<unknown> = Promise.resolve()

  function mayTry(): void {
    if (refused && clock.now() < refused.until)
      throw new DirectoryFailure(refused.reason, { phase: 'service_bind' })
  }

  async function tryOnce(line: Line, failed: Servers['failed'], signal: AbortSignal): Promise<void> {
    mayTry()
    const { server } = line
    const { url } = server.endpoint
    const answer = await line.bindService(identity, signal).catch(error => {
      if (!(error instanceof DirectoryFailure)) throw error
      throw blame(`${url}: ${error.message}`)
    })
    if (answer.code === SUCCESS) {
      refused = undefined
      return
    }
    const reason = `the service account cannot bind at ${url}: ${describe(answer)}`
    if (!REFUSALS.has(answer.code) || isOutOfOrder(answer)) throw blame(reason)
    refused = { until: clock.now() + RETRY_MS, reason }
    const who = identity.method === 'simple' ? { dn: identity.dn } : { method: identity.method }
    log.fatal({ server: url, ...who, reason }, 'the directory refuses the service account')
    throw new DirectoryFailure(reason, { phase: 'service_bind' })

    function blame(cause: string): DirectoryFailure {
      const failure = new DirectoryFailure(cause, { phase: 'service_bind', connectionLost: true })
      if (!signal.aborted) failed(server, 'service_bind', failure)
      return failure
    }
  }

  return {
    mayTry,
    signIn(line, failed, signal) {
      // So that two connections never try a wrong password at the same time.
      const next = last.then(() => tryOnce(line, failed, signal))
      last = next.catch(() => {})
      return next
    },
  }
}
