import { Client, type Entry, type Filter, ResultCodeError } from 'ldapts'
import type { Secret } from '../../plugin.ts'
import { once } from './dial.ts'
import { DirectoryFailure, reasonOf } from './failure.ts'
import type { Exchange, MessageStream } from './message-stream.ts'
import type { Answer } from './result.ts'

export interface SearchRequest {
  readonly base: string
  readonly scope: 'base' | 'sub'
  readonly filter: Filter
  /** By name; `1.1` for none. */
  readonly attributes: readonly string[]
  /** Those of them that are octets, not text. */
  readonly octetAttributes: readonly string[]
  /** Entries the directory may return. */
  readonly sizeLimit: number
}

export interface SearchAnswer extends Answer {
  /** Without referrals and references: they are not followed. */
  readonly entries: readonly Entry[]
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

  /**
   * A simple bind. Nothing else may be under way on this connection, and its identity is this one's afterwards.
   *
   * @param signal gives up, and with it the connection, so that a late answer meets nobody
   * @throws {DirectoryFailure} if no answer came
   * @throws {TypeError} rather than send what is no name or no password
   */
  async bind(dn: string, password: Secret, signal?: AbortSignal): Promise<Answer> {
    if (dn === '' || isSaslMechanism(dn)) throw new TypeError('a bind needs the DN of an account')
    if (!isSendable(password)) throw new TypeError('an empty or malformed password is never sent')
    const giveUp = () => this.#stream.fail(new Error('the time for the attempt was used up'))
    if (signal?.aborted) giveUp()
    signal?.addEventListener('abort', giveUp)
    const exchange = this.#stream.announce()
    try {
      await this.#client.bind(dn, password.reveal())
      return this.#answer('bind', exchange)
    } catch (error) {
      return this.#answer('bind', exchange, error)
    } finally {
      signal?.removeEventListener('abort', giveUp)
    }
  }

  /**
   * Several may be under way at once.
   *
   * @throws {DirectoryFailure} if no answer came
   */
  async search(request: SearchRequest): Promise<SearchAnswer> {
    const exchange = this.#stream.announce()
    try {
      const { searchEntries } = await this.#client.search(request.base, {
        scope: request.scope,
        filter: request.filter,
        attributes: [...request.attributes],
        explicitBufferAttributes: [...request.octetAttributes],
        sizeLimit: request.sizeLimit,
        timeLimit: Math.ceil(this.#timeoutMs / 1000),
        derefAliases: 'never',
      })
      return { ...this.#answer('search', exchange), entries: searchEntries }
    } catch (error) {
      return { ...this.#answer('search', exchange, error), entries: [] }
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
    const said = error instanceof ResultCodeError ? error.message : ''
    if (code === undefined || (error !== undefined && said === '')) {
      const reason = this.#stream.failure ?? new Error(reasonOf(error))
      this.#stream.fail(reason)
      const credentialSent = phase === 'bind' && sent
      throw new DirectoryFailure(reasonOf(reason), { phase, credentialSent, connectionLost: true })
    }
    if (ENDING_RESULTS.has(code)) this.#stream.fail(new Error(`the directory answered ${code}`))
    return { code, message: said }
  }
}
