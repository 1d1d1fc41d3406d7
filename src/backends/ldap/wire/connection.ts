import { Client, type Filter, PasswordPolicyControl, PresenceFilter, ResultCodeError } from 'ldapts'
import { createRedaction } from '../../../authentication/redaction.ts'
import type { Secret } from '../../../plugin.ts'
import { MalformedMessage } from './ber.ts'
import { once } from './dial.ts'
import { DirectoryFailure, reasonOf } from './failure.ts'
import type { WireEntry, WireResult } from './message.ts'
import type { Exchange, MessageStream } from './message-stream.ts'
import { type Page, type PageControl, readCookie, searchInPages } from './paging.ts'
import { type PolicyAnswer, readPolicy } from './policy.ts'
import { type Answer, nameResult } from './result.ts'
import { explainEnd, tellExplanation } from './tls-failure.ts'

export interface SearchRequest {
  readonly base: string
  readonly scope: 'base' | 'sub'
  readonly filter: Filter
  /** By name; `1.1` for none. */
  readonly attributes: readonly string[]
  /** Entries the directory may return, over all pages. */
  readonly sizeLimit: number
  /** Asks for them in pages of so many (RFC 2696), for answers longer than a server gives at once. */
  readonly pageSize?: number
}

/** Who a connection that searches is. */
export type ServiceIdentity =
  | { readonly method: 'simple'; readonly dn: string; readonly password: Secret }
  /** The client certificate of the TLS session (SASL EXTERNAL, RFC 4422 appendix A). */
  | { readonly method: 'external' }
  | { readonly method: 'anonymous' }

export interface BindAnswer extends Answer {
  /** Only where the directory was asked for it and knows it. */
  readonly policy?: PolicyAnswer
}

export interface SearchAnswer extends Answer {
  /** Without referrals and references: they are not followed. */
  readonly entries: readonly WireEntry[]
}

interface Answered {
  readonly entries: readonly WireEntry[]
  readonly result: WireResult
}

/** What every server answers cheaply, whoever asks (RFC 4512 section 5.1). */
const ROOT_DSE: SearchRequest = {
  base: '',
  scope: 'base',
  filter: new PresenceFilter({ attribute: 'objectClass' }),
  attributes: ['1.1'],
  sizeLimit: 1,
}

const SASL_MECHANISMS: ReadonlySet<string> = new Set(['EXTERNAL', 'PLAIN', 'DIGEST-MD5', 'SCRAM-SHA-1'])

/** After these the server or the connection is not what it was. */
const ENDING_RESULTS: ReadonlySet<number> = new Set([1, 14, 51, 52, 80])

/** Would ldapts take this name for a SASL mechanism instead of an account? */
export function isSaslMechanism(dn: string): boolean {
  return SASL_MECHANISMS.has(dn)
}

/** Can this password be sent so that the directory sees exactly it, and not an anonymous bind (RFC 4513 section 5.1.2)? */
export function isSendable(password: Secret): boolean {
  const text = password.reveal()
  return text !== '' && !text.startsWith('\0') && text.isWellFormed()
}

/**
 * One connection and the one ldapts client that may ever use it. It is given up after anything but a clean answer, and never
 * comes back by itself.
 */
export class Connection {
  readonly #stream: MessageStream
  readonly #client: Client
  readonly #timeoutMs: number
  /** Settles when no search in pages is under way. */
  #lastPaged: Promise<unknown> = Promise.resolve()
  /** Settles when the first request is on its way, or has failed. */
  #opening: Promise<unknown> | undefined
  #opened = false

  /** @param operationTimeoutMs for each answer */
  constructor(stream: MessageStream, operationTimeoutMs: number) {
    this.#stream = stream
    this.#timeoutMs = operationTimeoutMs
    this.#client = new Client({
      // The socket is open: the URL only says that ldapts is not to encrypt once more.
      url: 'ldap://directory',
      timeout: operationTimeoutMs,
      createConnection: once(stream),
    })
  }

  get usable(): boolean {
    return !this.#stream.destroyed
  }

  /** End of the server's certificate, in milliseconds since the Unix epoch; undefined without TLS. */
  get certificateExpiresAt(): number | undefined {
    return this.#stream.certificateExpiresAt
  }

  /**
   * A simple bind. Nothing else may be under way on this connection, and its identity is this one's afterwards.
   *
   * @param signal gives up, and with it the connection, so that a late answer meets nobody
   * @param policy asks for the password policy's word (draft-behera-ldap-password-policy-11 section 6.1)
   * @throws {DirectoryFailure} if no answer came
   * @throws {TypeError} rather than send what is no name or no password
   */
  async bind(
    dn: string,
    password: Secret,
    signal?: AbortSignal,
    { policy = false }: { readonly policy?: boolean } = {},
  ): Promise<BindAnswer> {
    if (dn === '' || isSaslMechanism(dn)) throw new TypeError('a bind needs the DN of an account')
    if (!isSendable(password)) throw new TypeError('an empty or malformed password is never sent')
    const control = policy ? new PasswordPolicyControl() : undefined
    const answer = await this.#bind(() => this.#client.bind(dn, password.reveal(), control), signal, policy)
    const echoed = answer.message !== '' && createRedaction(password).holds(answer.message)
    return echoed ? { ...answer, echoed } : answer
  }

  /**
   * A bind by the client certificate of the TLS session (SASL EXTERNAL, RFC 4422 appendix A). As with `bind`, nothing else may
   * be under way.
   *
   * @throws {DirectoryFailure} if no answer came
   */
  async bindExternal(signal?: AbortSignal): Promise<BindAnswer> {
    return this.#bind(() => this.#client.bind('EXTERNAL'), signal)
  }

  async #bind(
    bind: () => Promise<void>,
    signal: AbortSignal | undefined,
    asksPolicy = false,
  ): Promise<BindAnswer> {
    const giveUp = () => this.#stream.fail(new Error('the time for the attempt was used up'))
    if (signal?.aborted) giveUp()
    signal?.addEventListener('abort', giveUp)
    try {
      const { code, message, controls } = (await this.#ask('bind', bind)).result
      const policy = asksPolicy ? this.#read(() => readPolicy(controls), 'bind') : undefined
      return policy ? { code, message, policy } : { code, message }
    } finally {
      signal?.removeEventListener('abort', giveUp)
    }
  }

  /** Asks one question by ldapts, and waits for the last word to it. */
  async #ask(phase: 'bind' | 'search', ask: () => Promise<unknown>): Promise<Answered> {
    // Before its client has a socket, ldapts may write what comes second first.
    while (this.#opening) await this.#opening
    const exchange = this.#stream.announce()
    const asking = ask().then(
      () => this.#answer(phase, exchange),
      error => this.#answer(phase, exchange, error),
    )
    if (!this.#opened) await this.#open(exchange, asking)
    return asking
  }

  async #open(exchange: Exchange, asking: Promise<unknown>): Promise<void> {
    const { promise: sent, resolve } = Promise.withResolvers<void>()
    exchange.onSent = resolve
    this.#opening = Promise.race([sent, asking.catch(() => {})])
    await this.#opening
    this.#opening = undefined
    this.#opened = true
  }

  /** What cannot be read ends the connection, as anything else that is no answer does. */
  #read<T>(read: () => T, phase: 'bind' | 'search'): T {
    try {
      return read()
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error
      this.#stream.fail(error)
      const credentialSent = phase === 'bind'
      throw new DirectoryFailure(error.message, { phase, credentialSent, connectionLost: true })
    }
  }

  /**
   * Several may be under way at once; of those in pages one at a time is, as servers keep one place per connection.
   *
   * @param signal asks for no further page
   * @throws {DirectoryFailure} if no answer came, or one that cannot be read
   */
  async search(request: SearchRequest, signal?: AbortSignal): Promise<SearchAnswer> {
    if (request.pageSize === undefined) return this.#searchOnce(request)
    const pages = this.#lastPaged.then(() =>
      searchInPages(request, (...page) => this.#searchOnce(...page), signal),
    )
    this.#lastPaged = pages.catch(() => {})
    return pages
  }

  /**
   * Whether the other side still answers, whatever it says: reads the root DSE without any attribute. A connection that gives
   * no answer is given up.
   *
   * @param timeoutMs how long to wait
   */
  async ping(timeoutMs: number): Promise<boolean> {
    const giveUp = () => this.#stream.fail(new Error(`no sign of life within ${timeoutMs} ms`))
    const timer = setTimeout(giveUp, timeoutMs)
    try {
      // A refusal is a sign of life, too, also one that ends the connection.
      await this.#searchOnce(ROOT_DSE)
      return true
    } catch {
      return false
    } finally {
      clearTimeout(timer)
    }
  }

  async #searchOnce(request: SearchRequest, page?: PageControl): Promise<Page> {
    const { entries, result } = await this.#ask('search', () =>
      this.#client.search(
        request.base,
        {
          scope: request.scope,
          filter: request.filter,
          attributes: [...request.attributes],
          sizeLimit: request.sizeLimit,
          timeLimit: Math.ceil(this.#timeoutMs / 1000),
        },
        page,
      ),
    )
    const { code, message, controls } = result
    const cookie = page && this.#read(() => readCookie(controls), 'search')
    return { code, message, entries, ...(cookie && { cookie }) }
  }

  /** Says good-bye, in bounded time. */
  async close(): Promise<void> {
    const impatient = setTimeout(() => this.#stream.destroy(), 500)
    try {
      await this.#client.unbind()
    } catch {
      // It was gone already.
    } finally {
      clearTimeout(impatient)
      this.#stream.destroy()
    }
  }

  /** What stood on the wire: ldapts takes sizeLimitExceeded for success. */
  #answer(phase: 'bind' | 'search', { sent, entries, result }: Exchange, error?: unknown): Answered {
    if (result === undefined || (error !== undefined && !(error instanceof ResultCodeError))) {
      const reason = this.#stream.failure ?? new Error(reasonOf(error))
      this.#stream.fail(reason)
      const credentialSent = phase === 'bind' && sent
      const explanation = explainEnd(reason, this.#stream.tls, this.#stream.answered)
      const cause = explanation ? tellExplanation(explanation) : reasonOf(reason)
      throw new DirectoryFailure(cause, { phase, credentialSent, connectionLost: true, explanation })
    }
    if (ENDING_RESULTS.has(result.code)) {
      // The words to a bind may repeat its password.
      const told = phase === 'bind' ? { ...result, message: '' } : result
      this.#stream.fail(new Error(`the directory had answered with ${nameResult(told)}`))
    }
    return { entries, result }
  }
}
