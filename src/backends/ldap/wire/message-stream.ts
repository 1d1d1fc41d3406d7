import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { MalformedMessage } from './ber.ts'
import {
  messageLength,
  type Operation,
  readRequest,
  readResponse,
  type WireEntry,
  type WireResult,
  writeResult,
} from './message.ts'
import { HUNG_UP, type TlsSession } from './tls-failure.ts'

/** What one search may bring in. A user's entry with thousands of groups is a quarter of it. */
const MAX_SEARCH_BYTES = 4 * 1024 * 1024
/** As many as `groups.max` can ever ask for. */
const MAX_ENTRIES = 100_000
/** Any other answer is a few words. */
const MAX_ANSWER_BYTES = 64 * 1024
/** A message that comes in so many pieces is put together now and then, lest each keep its own memory. */
const MAX_CHUNKS = 1_000

/** What is known of one operation on the wire. */
export interface Exchange {
  /** Its request has been handed to the socket. */
  sent: boolean
  /** Told then. */
  onSent: (() => void) | undefined
  /** What a search has found so far. */
  readonly entries: WireEntry[]
  /** The directory's last word. */
  result: WireResult | undefined
}

interface Outstanding {
  readonly operation: Exclude<Operation, 'unbind'>
  readonly exchange: Exchange
  bytes: number
}

/**
 * Stands between an open socket and one ldapts client. It reads what the directory says, and takes only whole messages, each the
 * well-formed answer to a question that is open. Anything else ends the connection: garbage, somebody else's answer, a late
 * or second one, one of another kind, a notice of disconnection (RFC 4511 section 4.4.1), too many octets. What was found and
 * said is in the exchange; ldapts, which asks, hears only that its question is answered and with which code.
 *
 * It never emits `error`, because ldapts takes listeners off: it closes, and `failure` says why.
 */
export class MessageStream extends Duplex {
  /** ldapts asks these two of a socket to know that it is open. */
  readonly connecting = false
  /** End of the server's certificate, in milliseconds since the Unix epoch; undefined without TLS. */
  readonly certificateExpiresAt: number | undefined
  /** Of the server; undefined if the socket had ended before. */
  readonly remoteAddress: string | undefined
  /** What the handshake came to; undefined without TLS. */
  readonly tls: TlsSession | undefined
  readonly #socket: Socket
  readonly #announced: Exchange[] = []
  readonly #outstanding = new Map<number, Outstanding>()
  #chunks: Buffer[] = []
  #buffered = 0
  #failure: Error | undefined
  #answered = false
  #released = false

  /**
   * @param socket open, its handshake done, and from now on nobody else's
   * @param tls what its handshake came to
   */
  constructor(socket: Socket, tls?: TlsSession) {
    super({ allowHalfOpen: false })
    this.tls = tls
    this.remoteAddress = socket.remoteAddress
    this.certificateExpiresAt = tls?.chain[0]?.validToMs
    this.#socket = socket
    socket.on('data', this.#receive)
    socket.on('error', this.#fail)
    socket.on('end', this.#ended)
    socket.on('close', this.#ended)
    if (socket.destroyed) this.#ended()
  }

  get readyState(): 'open' | 'closed' {
    return this.destroyed ? 'closed' : 'open'
  }

  /** Why it closed, if not because we wanted it to. */
  get failure(): Error | undefined {
    return this.#failure
  }

  /** Whether the directory has said anything that was asked for. */
  get answered(): boolean {
    return this.#answered
  }

  /**
   * To be called right before a client's method: ldapts writes requests in the order in which they were asked for, but for the
   * first ones of a client, which must be written one after the other.
   */
  announce(): Exchange {
    const exchange: Exchange = { sent: false, onSent: undefined, entries: [], result: undefined }
    this.#announced.push(exchange)
    return exchange
  }

  /** Ends the connection at once. */
  fail(reason: Error): void {
    this.#fail(reason)
  }

  /**
   * Hands the socket back, for a TLS handshake on it.
   *
   * @throws {MalformedMessage} if anything came in that no request asked for: it would be read as if it came through TLS
   */
  release(): Socket {
    if (this.#buffered > 0 || this.#outstanding.size > 0) {
      this.#fail(new MalformedMessage('something arrived between the answer to StartTLS and the handshake'))
    }
    if (this.#failure) throw this.#failure
    this.#socket.pause()
    this.#detach()
    this.#released = true
    this.destroy()
    return this.#socket
  }

  override _read(): void {
    // Messages are pushed as they come; ldapts takes them at once.
  }

  override _write(message: Buffer, _encoding: BufferEncoding, done: () => void): void {
    const { id, operation } = readRequest(message)
    const exchange = this.#announced.shift()
    if (exchange && operation !== 'unbind') {
      exchange.sent = true
      exchange.onSent?.()
      this.#outstanding.set(id, { operation, exchange, bytes: 0 })
    }
    // A failed write shows as the socket's own error.
    this.#socket.write(message, () => {
      // The password in it has gone out, or never will.
      if (operation === 'bind') message.fill(0)
      done()
    })
  }

  override _final(done: () => void): void {
    this.#socket.end()
    done()
  }

  override _destroy(_error: Error | null, done: (error: null) => void): void {
    if (!this.#released) this.#socket.destroy()
    this.#chunks = []
    this.#outstanding.clear()
    done(null)
  }

  readonly #fail = (reason: Error): void => {
    if (this.destroyed) return
    this.#failure ??= reason
    this.destroy()
  }

  readonly #ended = (): void => {
    this.#fail(Object.assign(new Error('the directory closed the connection'), { code: HUNG_UP }))
  }

  readonly #receive = (chunk: Buffer): void => {
    this.#chunks.push(chunk)
    this.#buffered += chunk.length
    if (this.#chunks.length > MAX_CHUNKS) this.#join()
    try {
      while (!this.destroyed && this.#takeMessage()) {
        // One after the other, each whole.
      }
    } catch (error) {
      this.#fail(error instanceof Error ? error : new MalformedMessage(String(error)))
    }
  }

  /** Lets the next message through if it is all there. */
  #takeMessage(): boolean {
    if (this.#buffered === 0) return false
    // Six octets hold any header. Chunks are joined only then and when a message is whole, so slow arrival costs nothing.
    const [first] = this.#chunks
    const length = messageLength(first && first.length >= 6 ? first : this.#join())
    if (length === undefined) return false
    if (length > MAX_SEARCH_BYTES) throw new MalformedMessage(`a message of ${length} octets is too long`)
    if (this.#buffered < length) return false
    const all = this.#join()
    const message = all.subarray(0, length)
    this.#chunks = all.length > length ? [all.subarray(length)] : []
    this.#buffered -= length
    this.#pass(message)
    return true
  }

  #join(): Buffer {
    const [first] = this.#chunks
    if (first && this.#chunks.length === 1) return first
    const all = Buffer.concat(this.#chunks)
    this.#chunks = [all]
    return all
  }

  #pass(message: Buffer): void {
    const { id, to, entry, result } = readResponse(message)
    if (id === 0) throw new Error(`the directory ended the session with result ${result?.code}`)
    const asked = this.#outstanding.get(id)
    if (asked?.operation !== to) throw new MalformedMessage('an answer arrived that nobody waits for')
    this.#answered = true
    asked.bytes += message.length
    if (asked.bytes > (asked.operation === 'search' ? MAX_SEARCH_BYTES : MAX_ANSWER_BYTES)) {
      throw new MalformedMessage('an answer is too long')
    }
    if (entry && asked.exchange.entries.push(entry) > MAX_ENTRIES) {
      throw new MalformedMessage('there are too many entries')
    }
    if (result === undefined) return
    asked.exchange.result = result
    this.#outstanding.delete(id)
    this.push(writeResult(id, asked.operation, result.code))
  }

  #detach(): void {
    this.#socket.off('data', this.#receive)
    this.#socket.off('error', this.#fail)
    this.#socket.off('end', this.#ended)
    this.#socket.off('close', this.#ended)
  }
}
