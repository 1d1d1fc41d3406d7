/** One connection's questions and answers (RFC 4511 section 5). */
import type { Socket } from 'node:net'
import { createInFlight } from '../../../authentication/in-flight.ts'
import { MalformedMessage } from './ber.ts'
import { createFraming } from './framing.ts'
import { type Operation, readResponse, type WireEntry, type WireResult } from './message.ts'
import { unbindRequest } from './request.ts'
import { HUNG_UP, type TlsSession } from './tls-failure.ts'

/** What one search may bring in. A user's entry with thousands of groups is a quarter of it. */
const MAX_SEARCH_BYTES = 4 * 1024 * 1024
/** As many as `groups.max` can ever ask for. */
const MAX_ENTRIES = 100_000
/** Any other answer is a few words. */
const MAX_ANSWER_BYTES = 64 * 1024
/** Ids of messages (RFC 4511 section 4.1.1). */
const MAX_ID = 2 ** 31 - 1
const NOTHING = Buffer.alloc(0)

/** What came of one question. */
export interface Exchange {
  /** Its request has been handed to the socket. */
  readonly sent: boolean
  /** What a search has found so far. */
  readonly entries: readonly WireEntry[]
  /** The directory's last word; undefined where the connection ended without one, and `failure` says why. */
  readonly result: WireResult | undefined
}

interface Question {
  readonly id: number
  readonly operation: Operation
  readonly message: Buffer
  /** In milliseconds; as of performance.now(). */
  readonly timeoutMs: number
  readonly dueAt: number
  readonly entries: WireEntry[]
  readonly settle: (exchange: Exchange) => void
  sent: boolean
  result: WireResult | undefined
  bytes: number
}

/**
 * The only one who reads and writes an open socket. Searches that are asked for in one turn of the event loop leave in one
 * write. Of what comes in it takes only whole messages, each the well-formed answer to a question that is open. Anything else
 * ends the connection: garbage, somebody else's answer, a late or second one, one of another kind, a notice of disconnection
 * (RFC 4511 section 4.4.1), too many octets, silence.
 */
export class Session {
  /** End of the server's certificate, in milliseconds since the Unix epoch; undefined without TLS. */
  readonly certificateExpiresAt: number | undefined
  /** Of the server; undefined if the socket had ended before. */
  readonly remoteAddress: string | undefined
  /** What the handshake came to; undefined without TLS. */
  readonly tls: TlsSession | undefined
  /** Resolves when it has ended. */
  readonly closed: Promise<void>
  readonly #close: () => void
  readonly #socket: Socket
  /** In the order in which they were asked; what is not sent yet is not waited for either. */
  readonly #outstanding = createInFlight<number, Question>()
  readonly #framing = createFraming(MAX_SEARCH_BYTES, message => this.#pass(message))
  #unsent: Question[] = []
  #flushing: NodeJS.Immediate | undefined
  #timer: NodeJS.Timeout | undefined
  #lastId = 1
  #failure: Error | undefined
  #answered = false
  #destroyed = false

  /**
   * @param socket open, its handshake done, and from now on nobody else's
   * @param tls what its handshake came to
   */
  constructor(socket: Socket, tls?: TlsSession) {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.closed = promise
    this.#close = resolve
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

  get destroyed(): boolean {
    return this.#destroyed
  }

  /** Why it ended, if not because we wanted it to. */
  get failure(): Error | undefined {
    return this.#failure
  }

  /** Whether the directory has said anything that was asked for. */
  get answered(): boolean {
    return this.#answered
  }

  /**
   * Asks one question. Never rejects but for what `write` throws: the exchange says how far it got.
   *
   * @param timeoutMs in which the last word must come, else the session ends; the same for all questions of one session
   * @param write writes the message; a bind is cleared once it has gone out
   */
  ask(operation: Operation, timeoutMs: number, write: (id: number) => Buffer): Promise<Exchange> {
    return new Promise(settle => {
      if (this.#destroyed) {
        settle({ sent: false, entries: [], result: undefined })
        return
      }
      const id = this.#nextId()
      const message = write(id)
      const dueAt = performance.now() + timeoutMs
      const state = { sent: false, result: undefined, bytes: 0 }
      this.#unsent.push({ id, operation, message, timeoutMs, dueAt, entries: [], settle, ...state })
      this.#timer ??= setTimeout(this.#watch, timeoutMs)
      // Of binds there is one at a time.
      if (operation !== 'search') this.#flush()
      else this.#flushing ??= setImmediate(this.#flush)
    })
  }

  /** Ends the session at once. */
  fail(reason: Error): void {
    this.#fail(reason)
  }

  /** Says good-bye (RFC 4511 section 4.3), where anything has been said before, and ends. */
  end(): void {
    if (this.#destroyed) return
    this.#flush()
    if (this.#lastId === 1) this.destroy()
    else this.#socket.write(unbindRequest(this.#nextId()), () => this.destroy())
  }

  /** Ends it at once, and it is nobody's fault. Whoever still waits for an answer learns that there is none. */
  destroy(): void {
    if (this.#destroyed) return
    this.#socket.destroy()
    this.#finish()
  }

  /**
   * Hands the socket back, for a TLS handshake on it.
   *
   * @throws {MalformedMessage} if anything came in that no request asked for: it would be read as if it came through TLS
   */
  release(): Socket {
    if (this.#framing.pending > 0 || this.#outstanding.size > 0) {
      this.#fail(new MalformedMessage('something arrived between the answer to StartTLS and the handshake'))
    }
    if (this.#failure) throw this.#failure
    this.#socket.pause()
    this.#socket.off('data', this.#receive)
    this.#socket.off('error', this.#fail)
    this.#socket.off('end', this.#ended)
    this.#socket.off('close', this.#ended)
    this.#finish()
    return this.#socket
  }

  #finish(): void {
    this.#destroyed = true
    clearTimeout(this.#timer)
    clearImmediate(this.#flushing)
    this.#framing.end()
    const unanswered = [...this.#outstanding.values(), ...this.#unsent]
    for (const { id } of unanswered) this.#outstanding.delete(id)
    this.#unsent = []
    for (const question of unanswered) question.settle(question)
    this.#close()
  }

  readonly #fail = (reason: Error): void => {
    if (this.#destroyed) return
    this.#failure ??= reason
    this.destroy()
  }

  readonly #ended = (): void => {
    this.#fail(Object.assign(new Error('the directory closed the connection'), { code: HUNG_UP }))
  }

  /** One timer for all questions: the oldest is due first. */
  readonly #watch = (): void => {
    this.#timer = undefined
    const [oldest = this.#unsent[0]] = this.#outstanding.values()
    if (oldest === undefined) return
    const leftMs = oldest.dueAt - performance.now()
    if (leftMs > 0) this.#timer = setTimeout(this.#watch, Math.ceil(leftMs))
    else this.#fail(new Error(`the ${oldest.operation} timed out: no answer within ${oldest.timeoutMs} ms`))
  }

  #nextId(): number {
    do this.#lastId = this.#lastId < MAX_ID ? this.#lastId + 1 : 1
    while (this.#outstanding.has(this.#lastId))
    return this.#lastId
  }

  readonly #flush = (): void => {
    const questions = this.#unsent
    clearImmediate(this.#flushing)
    this.#flushing = undefined
    if (questions.length === 0) return
    this.#unsent = []
    for (const question of questions) {
      question.sent = true
      this.#outstanding.set(question.id, question)
    }
    const messages = questions.map(({ message }) => message)
    const [first = NOTHING] = messages
    const batch = messages.length === 1 ? first : Buffer.concat(messages)
    // A failed write shows as the socket's own error.
    if (!questions.some(({ operation }) => operation === 'bind')) this.#socket.write(batch)
    // The password in it has gone out, or never will.
    else this.#socket.write(batch, () => batch.fill(0))
    if (batch !== first) for (const message of messages) message.fill(0)
  }

  readonly #receive = (chunk: Buffer): void => {
    try {
      this.#framing.push(chunk)
    } catch (error) {
      this.#fail(error instanceof Error ? error : new MalformedMessage(String(error)))
    }
  }

  #pass(message: Buffer): void {
    const { id, to, entry, result } = readResponse(message)
    if (id === 0) throw new Error(`the directory ended the session with result ${result?.code}`)
    const asked = this.#outstanding.get(id)
    if (asked?.operation !== to) throw new MalformedMessage('an answer arrived that nobody waits for')
    this.#answered = true
    asked.bytes += message.length
    if (asked.bytes > (to === 'search' ? MAX_SEARCH_BYTES : MAX_ANSWER_BYTES)) {
      throw new MalformedMessage('an answer is too long')
    }
    if (entry && asked.entries.push(entry) > MAX_ENTRIES) {
      throw new MalformedMessage('there are too many entries')
    }
    if (result === undefined) return
    asked.result = result
    this.#outstanding.delete(id)
    asked.settle(asked)
  }
}
