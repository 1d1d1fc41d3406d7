import { type Filter, PresenceFilter } from 'ldapts'
import { createRedaction } from '../../../authentication/redaction.ts'
import type { Secret } from '../../../plugin.ts'
import { MalformedMessage } from './ber.ts'
import { DirectoryFailure, reasonOf } from './failure.ts'
import type { WireEntry, WireResult } from './message.ts'
import { type Page, readCookie, searchInPages } from './paging.ts'
import { ASK_POLICY, type PolicyAnswer, readPolicy } from './policy.ts'
import { bindRequest, externalBindRequest, searchRequest } from './request.ts'
import { type Answer, nameResult } from './result.ts'
import type { Exchange, Session } from './session.ts'
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

/** Names that no account has, as some clients, ldapts among them, take them for SASL mechanisms (RFC 4422). */
export function isSaslMechanism(dn: string): boolean {
  return SASL_MECHANISMS.has(dn)
}

/** Can this password be sent so that the directory sees exactly it, and not an anonymous bind (RFC 4513 section 5.1.2)? */
export function isSendable(password: Secret): boolean {
  const text = password.reveal()
  return text !== '' && !text.startsWith('\0') && text.isWellFormed()
}

/** One connection. It is given up after anything but a clean answer, and never comes back by itself. */
export class Connection {
  readonly #session: Session
  readonly #timeoutMs: number
  /** In seconds, for the directory. */
  readonly #timeLimit: number
  /** Settles when no search in pages is under way. */
  #lastPaged: Promise<unknown> = Promise.resolve()

  /** @param operationTimeoutMs for each answer */
  constructor(session: Session, operationTimeoutMs: number) {
    this.#session = session
    this.#timeoutMs = operationTimeoutMs
    this.#timeLimit = Math.ceil(operationTimeoutMs / 1000)
  }

  get usable(): boolean {
    return !this.#session.destroyed
  }

  /** End of the server's certificate, in milliseconds since the Unix epoch; undefined without TLS. */
  get certificateExpiresAt(): number | undefined {
    return this.#session.certificateExpiresAt
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
    const control = policy ? ASK_POLICY : undefined
    const answer = await this.#bind(id => bindRequest(id, dn, password, control), signal, policy)
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
    return this.#bind(externalBindRequest, signal)
  }

  async #bind(
    write: (id: number) => Buffer,
    signal: AbortSignal | undefined,
    asksPolicy = false,
  ): Promise<BindAnswer> {
    const giveUp = () => this.#session.fail(new Error('the time for the attempt was used up'))
    if (signal?.aborted) giveUp()
    signal?.addEventListener('abort', giveUp)
    try {
      const exchange = await this.#session.ask('bind', this.#timeoutMs, write)
      const { code, message, controls } = this.#resultOf('bind', exchange)
      const policy = asksPolicy ? this.#read(() => readPolicy(controls), 'bind') : undefined
      return policy ? { code, message, policy } : { code, message }
    } finally {
      signal?.removeEventListener('abort', giveUp)
    }
  }

  /** What cannot be read ends the connection, as anything else that is no answer does. */
  #read<T>(read: () => T, phase: 'bind' | 'search'): T {
    try {
      return read()
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error
      this.#session.fail(error)
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
  search(request: SearchRequest, signal?: AbortSignal): Promise<SearchAnswer> {
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
    const giveUp = () => this.#session.fail(new Error(`no sign of life within ${timeoutMs} ms`))
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

  /** @param page encoded, where one is asked for */
  async #searchOnce(request: SearchRequest, page?: Buffer): Promise<Page> {
    const exchange = await this.#session.ask('search', this.#timeoutMs, id =>
      searchRequest(id, request, this.#timeLimit, page),
    )
    const { code, message, controls } = this.#resultOf('search', exchange)
    const { entries } = exchange
    const cookie = page && this.#read(() => readCookie(controls), 'search')
    return cookie ? { code, message, entries, cookie } : { code, message, entries }
  }

  /** Says good-bye, in bounded time. */
  async close(): Promise<void> {
    const impatient = setTimeout(() => this.#session.destroy(), 500)
    this.#session.end()
    await this.#session.closed
    clearTimeout(impatient)
  }

  /** @throws {DirectoryFailure} if there is none */
  #resultOf(phase: 'bind' | 'search', { sent, result }: Exchange): WireResult {
    if (result === undefined) {
      const reason = this.#session.failure ?? new Error('the connection was closed')
      const credentialSent = phase === 'bind' && sent
      const explanation = explainEnd(reason, this.#session.tls, this.#session.answered)
      const cause = explanation ? tellExplanation(explanation) : reasonOf(reason)
      throw new DirectoryFailure(cause, { phase, credentialSent, connectionLost: true, explanation })
    }
    if (ENDING_RESULTS.has(result.code)) {
      // The words to a bind may repeat its password.
      const told = phase === 'bind' ? { ...result, message: '' } : result
      this.#session.fail(new Error(`the directory had answered with ${nameResult(told)}`))
    }
    return result
  }
}
