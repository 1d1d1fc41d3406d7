import { createHash } from 'node:crypto'
import type { Log, RefusedAccounts } from '../../../plugin.ts'
import { DirectoryFailure } from '../wire/failure.ts'
import { describe, SUCCESS } from '../wire/result.ts'
import type { DirectoryOptions } from './directory-options.ts'
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

type AccountOptions = Pick<DirectoryOptions, 'service' | 'clientCertificate' | 'endpoints' | 'discover'>

export function createService(
  options: AccountOptions,
  { refusedAccounts, log }: { readonly refusedAccounts: RefusedAccounts; readonly log: Log },
): Service {
  const { service: identity } = options
  const account = accountOf(options)
  let last: Promise<unknown> = Promise.resolve()

  function mayTry(): void {
    const reason = refusedAccounts.refusal(account)
    if (reason !== undefined) throw new DirectoryFailure(reason, { phase: 'service_bind' })
  }

  async function tryOnce(line: Line, failed: Servers['failed'], signal: AbortSignal): Promise<void> {
    mayTry()
    const { server } = line
    const { url } = server.endpoint
    // Those before this one have found out meanwhile that the server gives no answer: not each has to.
    if (server.breaker.state === 'open' && server.breaker.failure) throw server.breaker.failure
    const answer = await line.bindService(identity, signal).catch(error => {
      if (!(error instanceof DirectoryFailure)) throw error
      throw blame(`${url}: ${error.message}`)
    })
    if (answer.code === SUCCESS) return
    const reason = `the service account cannot bind at ${url}: ${describe(answer)}`
    if (!REFUSALS.has(answer.code) || isOutOfOrder(answer)) throw blame(reason)
    refusedAccounts.refuse(account, reason, RETRY_MS)
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

/** Whoever corrects the secret, the way it is proved or the servers is not made to wait. */
function accountOf({ service, clientCertificate, endpoints, discover }: AccountOptions): string {
  const proof =
    service.method === 'simple' ? [service.dn, service.password.reveal()] : [clientCertificate?.cert]
  const all = JSON.stringify([service.method, proof, endpoints, discover])
  return createHash('sha256').update(all).digest('base64')
}
