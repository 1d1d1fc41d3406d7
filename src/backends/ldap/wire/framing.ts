/** Finds the messages in what comes in (RFC 4511 section 5.1), wherever the network cuts it. */
import { MalformedMessage } from './ber.ts'
import { messageLength } from './message.ts'

export interface Framing {
  /** Octets of a message that has begun and is not whole yet. */
  readonly pending: number
  /** @throws {MalformedMessage} as soon as they can't be messages, or are too long; and whatever `take` throws */
  push(chunk: Buffer): void
  /** Forgets what is pending, and takes no more. */
  end(): void
}

/** A message that comes in so many pieces is put together now and then, lest each keep its own memory. */
const MAX_CHUNKS = 1_000

/**
 * @param maxLength of one message, in octets
 * @param take is given one whole message after the other
 */
export function createFraming(maxLength: number, take: (message: Buffer) => void): Framing {
  let chunks: Buffer[] = []
  let pending = 0
  /** So many octets make another look worth while: slow arrival costs nothing. */
  let wanted = 0
  let ended = false

  function join(): Buffer {
    const [first] = chunks
    if (first && chunks.length === 1) return first
    const all = Buffer.concat(chunks)
    chunks = [all]
    return all
  }

  function takeAll(octets: Buffer): void {
    let from = 0
    wanted = 0
    while (!ended && from < octets.length) {
      const length = messageLength(octets, from)
      if (length !== undefined && length > maxLength) {
        throw new MalformedMessage(`a message of ${length} octets is too long`)
      }
      if (length === undefined || octets.length - from < length) {
        wanted = length ?? octets.length - from + 1
        break
      }
      take(octets.subarray(from, from + length))
      from += length
    }
    if (ended) return
    pending = octets.length - from
    chunks = pending > 0 ? [octets.subarray(from)] : []
  }

  return {
    get pending() {
      return pending
    },
    push(chunk) {
      if (ended) return
      chunks.push(chunk)
      pending += chunk.length
      if (chunks.length > MAX_CHUNKS) join()
      if (pending >= wanted) takeAll(join())
    },
    end() {
      ended = true
      chunks = []
    },
  }
}
