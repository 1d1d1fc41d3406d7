import { createHash } from 'node:crypto'
import type { Log, RefusedAccounts } from '../../../plugin.ts'
import { DirectoryFailure } from '../wire/failure.ts'
import { type Answer, describe, isNoVerdict, SUCCESS } from '../wire/result.ts'
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

/** No password or certificate was looked at: it may not be shown in this way, to this server. */
const WAY_REFUSED: ReadonlySet<number> = new Set([7, 8, 13, 14])
/** The password or the certificate is wrong, or the account is locked, expired, deactivated or gone. */
const ACCOUNT_REFUSED: ReadonlySet<number> = new Set([19, 32, 34, 48, 49, 50, 53])

/**
 * What a service account's bind was refused for: every server of a directory would say the same. Undefined: it was not, or
 * the server is out of order, or cannot judge the account.
 */
export function refusalOf(answer: Answer): 'account' | 'way' | undefined {
  if (isOutOfOrder(answer) || isNoVerdict(answer)) return undefined
  if (WAY_REFUSED.has(answer.code)) return 'way'
  return ACCOUNT_REFUSED.has(answer.code) ? 'account' : undefined
}

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
    if (refusalOf(answer) === undefined) throw blame(reason)
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
function accountOf({ endpoints, discover, ...proof }: AccountOptions): string {
  return hashOf([proofOf(proof), endpoints, discover])
}

/** The account and what it shows for itself, whichever servers it is shown to. */
export function proofOf({
  service,
  clientCertificate,
}: Pick<AccountOptions, 'service' | 'clientCertificate'>): string {
  const proof =
    service.method === 'simple'
      ? [service.dn.toLowerCase(), service.password.reveal()]
      : [clientCertificate?.cert]
  return hashOf([service.method, proof])
}

function hashOf(parts: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64')
}
