/**
 * Writes the Basic Encoding Rules (ITU-T X.690), definite lengths in as few octets as will do. A message is written from its end
 * to its start: what an element holds is there before its length is asked for.
 */
import { BOOLEAN } from './ber.ts'

export interface Output {
  octets: Buffer
  /** Where what is written so far starts; it goes to the end. */
  at: number
}

/** Any usual message, so that one output does for all of them. */
const USUAL_SIZE = 4_096

export function newOutput(): Output {
  return { octets: Buffer.allocUnsafeSlow(USUAL_SIZE), at: USUAL_SIZE }
}

/** How much is written so far, in octets. */
export function written({ octets, at }: Output): number {
  return octets.length - at
}

/** A copy of what was written. The output is empty afterwards, and nothing of a password is left in it. */
export function take(output: Output): Buffer {
  const message = Buffer.from(output.octets.subarray(output.at))
  clear(output)
  return message
}

/** Takes back what was written. */
export function clear(output: Output): void {
  const { octets, at } = output
  if (at === octets.length) return
  octets.fill(0, at)
  if (octets.length > USUAL_SIZE) output.octets = Buffer.allocUnsafeSlow(USUAL_SIZE)
  output.at = output.octets.length
}

/** What is encoded already. */
export function writeRaw(output: Output, encoded: Uint8Array): void {
  reserve(output, encoded.length)
  output.at -= encoded.length
  output.octets.set(encoded, output.at)
}

export function writeOctets(output: Output, tag: number, content: Uint8Array): void {
  writeRaw(output, content)
  writeHeader(output, tag, content.length)
}

/** In UTF-8. */
export function writeText(output: Output, tag: number, text: string): void {
  const length = Buffer.byteLength(text)
  reserve(output, length)
  output.at -= length
  output.octets.write(text, output.at)
  writeHeader(output, tag, length)
}

/** @param value from 0 to 2^31 - 1 */
export function writeInteger(output: Output, tag: number, value: number): void {
  reserve(output, 4)
  const { octets } = output
  const end = output.at
  let rest = value
  do {
    octets[--output.at] = rest & 0xff
    rest >>>= 8
  } while (rest > 0)
  // Else it would be a negative number.
  if ((octets[output.at] ?? 0) >= 0x80) octets[--output.at] = 0
  writeHeader(output, tag, end - output.at)
}

export function writeBoolean(output: Output, value: boolean, tag = BOOLEAN): void {
  reserve(output, 1)
  output.octets[--output.at] = value ? 0xff : 0
  writeHeader(output, tag, 1)
}

/**
 * Makes an element of what was written last.
 *
 * @param before how much was `written` before that
 */
export function wrap(output: Output, tag: number, before: number): void {
  writeHeader(output, tag, written(output) - before)
}

function writeHeader(output: Output, tag: number, length: number): void {
  reserve(output, 6)
  const { octets } = output
  if (length < 0x80) {
    octets[--output.at] = length
  } else {
    const end = output.at
    for (let rest = length; rest > 0; rest >>>= 8) octets[--output.at] = rest & 0xff
    octets[output.at - 1] = 0x80 | (end - output.at)
    output.at--
  }
  octets[--output.at] = tag
}

function reserve(output: Output, count: number): void {
  const { octets, at } = output
  if (at >= count) return
  const larger = Buffer.allocUnsafeSlow(2 * octets.length + count)
  output.at = larger.length - (octets.length - at)
  octets.copy(larger, output.at, at)
  octets.fill(0)
  output.octets = larger
}
