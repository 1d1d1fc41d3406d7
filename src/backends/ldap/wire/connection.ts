import {
  Client,
  type Entry,
  type Filter,
  PasswordPolicyControl,
  PresenceFilter,
  ResultCodeError,
} from 'ldapts'
import type { Secret } from '../../../plugin.ts'
import { once } from './dial.ts'
import { DirectoryFailure, reasonOf } from './failure.ts'
import type { Exchange, MessageStream } from './message-stream.ts'
import { PageControl, readCookie } from './paging.ts'
import { type PolicyAnswer, readPolicy } from './policy.ts'
import { type Answer, SIZE_LIMIT_EXCEEDED, SUCCESS } from './result.ts'
import { explainEnd, tellExplanation } from './tls-failure.ts'

export interface SearchRequest {
  readonly base: string
  readonly scope: 'base' | 'sub'
  readonly filter: Filter
  /** By name; `1.1` for none. */
  readonly attributes: readonly string[]
  /** Those of them that are octets, not text. */
  readonly octetAttributes: readonly string[]
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

export type { PolicyAnswer } from './policy.ts'

export interface BindAnswer extends Answer {
  /** Only where the directory was asked for it and knows it. */
  readonly policy?: PolicyAnswer
}

export interface SearchAnswer extends Answer {
  /** Without referrals and references: they are not followed. */
  readonly entries: readonly Entry[]
}

/** What every server answers cheaply, whoever asks (RFC 4512 section 5.1). */
const ROOT_DSE: SearchRequest = {
  base: '',
  scope: 'base',
  filter: new PresenceFilter({ attribute: 'objectClass' }),
  attributes: ['1.1'],
  octetAttributes: [],
  sizeLimit: 1,
}

const SASL_MECHANISMS: ReadonlySet<string> = new Set(['EXTERNAL', 'PLAIN', 'DIGEST-MD5', 'SCRAM-SHA-1'])

/** What stands behind the server's own words in the message of its errors. */
const ADDED_BY_LDAPTS = / Code: 0x[0-9a-f]+$/

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
    const answer = await this.#bind(() => this.#client.bind(dn, password.reveal(), control), signal)
    // ldapts fills it in from the answer, whether that was yes or no.
    const said = control && readPolicy(control.value)
    return said ? { ...answer, policy: said } : answer
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

  async #bind(bind: () => Promise<void>, signal: AbortSignal | undefined): Promise<Answer> {
    const giveUp = () => this.#stream.fail(new Error('the time for the attempt was used up'))
    if (signal?.aborted) giveUp()
    signal?.addEventListener('abort', giveUp)
    const exchange = this.#stream.announce()
    try {
      await bind()
      return this.#answer('bind', exchange)
    } catch (error) {
      return this.#answer('bind', exchange, error)
    } finally {
      signal?.removeEventListener('abort', giveUp)
    }
  }

  /**
   * Several may be under way at once; of those in pages one at a time is, as servers keep one place per connection.
   *
   * @throws {DirectoryFailure} if no answer came
   */
  async search(request: SearchRequest): Promise<SearchAnswer> {
    if (request.pageSize === undefined) return (await this.#searchOnce(request)).answer
    const pages = this.#lastPaged.then(() => this.#searchInPages(request, request.pageSize ?? 1))
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

  async #searchInPages(request: SearchRequest, pageSize: number): Promise<SearchAnswer> {
    const entries: Entry[] = []
    let cookie: Buffer | undefined
    // A server may give pages that are not full, but not for ever.
    const maxPages = Math.ceil(request.sizeLimit / pageSize) + 100
    for (let page = 0; page < maxPages; page++) {
      const control = new PageControl(pageSize, cookie)
      const { answer, controls } = await this.#searchOnce({ ...request, sizeLimit: 0 }, control)
      entries.push(...answer.entries)
      if (entries.length > request.sizeLimit) {
        return { code: SIZE_LIMIT_EXCEEDED, message: '', entries: entries.slice(0, request.sizeLimit) }
      }
      cookie = readCookie(controls)
      if (answer.code !== SUCCESS || cookie === undefined) return { ...answer, entries }
    }
    throw new DirectoryFailure('the directory gives page after page without an end', { phase: 'search' })
  }

  async #searchOnce(
    request: SearchRequest,
    page?: PageControl,
  ): Promise<{ readonly answer: SearchAnswer } & Pick<Exchange, 'controls'>> {
    const exchange = this.#stream.announce()
    try {
      const { searchEntries } = await this.#client.search(
        request.base,
        {
          scope: request.scope,
          filter: request.filter,
          attributes: [...request.attributes],
          explicitBufferAttributes: [...request.octetAttributes],
          sizeLimit: request.sizeLimit,
          timeLimit: Math.ceil(this.#timeoutMs / 1000),
          derefAliases: 'never',
        },
        page,
      )
      const answer = { ...this.#answer('search', exchange), entries: searchEntries }
      return { answer, controls: exchange.controls }
    } catch (error) {
      const answer = { ...this.#answer('search', exchange, error), entries: [] }
      return { answer, controls: exchange.controls }
    }
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

  /** The result as it stood on the wire: ldapts takes sizeLimitExceeded for success. */
  #answer(phase: 'bind' | 'search', { sent, resultCode: code }: Exchange, error?: unknown): Answer {
    const refused = error instanceof ResultCodeError ? error : undefined
    if (code === undefined || (error !== undefined && refused === undefined)) {
      const reason = this.#stream.failure ?? new Error(reasonOf(error))
      this.#stream.fail(reason)
      const credentialSent = phase === 'bind' && sent
      const explanation = explainEnd(reason, this.#stream.tls, this.#stream.answered)
      const cause = explanation ? tellExplanation(explanation) : reasonOf(reason)
      throw new DirectoryFailure(cause, { phase, credentialSent, connectionLost: true, explanation })
    }
    if (ENDING_RESULTS.has(code)) this.#stream.fail(new Error(`the directory answered ${code}`))
    return { code, message: refused?.message.replace(ADDED_BY_LDAPTS, '') ?? '' }
  }
}
