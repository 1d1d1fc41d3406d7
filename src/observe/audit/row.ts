/**
 * The rows of the audit trail, and how each is chained to the one before it (ADR 9):
 *
 *   hash = SHA-256("gatehouse-audit-1\n" ‖ hash before (32) ‖ seq (8) ‖ at (8) ‖ body)
 *
 * Numbers are big-endian; everything but the body has a fixed length, and the body is last, so no two different rows are the
 * same octets. The body is JSON, and its octets are what counts: nobody has to write it again to verify it.
 */
import { hash as digestOf, randomUUID } from 'node:crypto'

/** What somebody wants to have written down. */
export interface Entry {
  /** Wall clock, in milliseconds since the Unix epoch. */
  readonly at: number
  /** A JSON object with an `event`. */
  readonly body: string
}

export interface Row extends Entry {
  /** From 1, without gaps. */
  readonly seq: number
  /** 32 octets. */
  readonly hash: Uint8Array
}

/** The place of a row in the chain. Kept elsewhere it proves later that nothing up to here was altered. */
export interface Head {
  readonly seq: number
  /** 64 hexadecimal digits. */
  readonly hash: string
}

/** Before the first row. */
export const ORIGIN: Uint8Array = new Uint8Array(32)

const DOMAIN = Buffer.from('gatehouse-audit-1\n')
const SEQ_AT = DOMAIN.length + ORIGIN.length
const BODY_AT = SEQ_AT + 8 + 8
/** Of what most bodies take, in octets. */
const USUAL_BYTES = 4_096

/** What is hashed, put together here again and again: it holds nothing that is not in the trail. */
let octets = Buffer.alloc(BODY_AT + USUAL_BYTES)
octets.set(DOMAIN)

/** The hash of a row, 32 octets. */
export function hashOf(before: Uint8Array, { seq, at, body }: Omit<Row, 'hash'>): Buffer {
  // No UTF-16 unit becomes more than three octets.
  const most = BODY_AT + body.length * 3
  if (octets.length < most) octets = Buffer.concat([DOMAIN], most)
  octets.set(before, DOMAIN.length)
  const end = octets.writeBigUInt64BE(BigInt(seq), SEQ_AT)
  octets.writeBigInt64BE(BigInt(at), end)
  const length = BODY_AT + octets.write(body, BODY_AT)
  // By way of a text, which is several times as quick as having a buffer made there.
  return Buffer.from(digestOf('sha256', octets.subarray(0, length), 'latin1'), 'latin1')
}

/** @param before undefined for the first one */
export function chained(before: Pick<Row, 'seq' | 'hash'> | undefined, { at, body }: Entry): Row {
  const seq = (before?.seq ?? 0) + 1
  return { seq, at, body, hash: hashOf(before?.hash ?? ORIGIN, { seq, at, body }) }
}

export function headOf({ seq, hash }: Pick<Row, 'seq' | 'hash'>): Head {
  return { seq, hash: Buffer.from(hash).toString('hex') }
}

export const FIRST_EVENT = 'audit_begin'
export const CUT_EVENT = 'audit_cut'

/** The first row of a chain. Its id makes each chain another one from the start on. */
export function firstEntry(at: number): Entry {
  return { at, body: JSON.stringify({ event: FIRST_EVENT, chain: randomUUID() }) }
}

/** What a row says that stands for the oldest ones, which are gone. */
export function cutEntry(at: number, through: Head): Entry {
  return { at, body: JSON.stringify({ event: CUT_EVENT, through: through.seq, hash: through.hash }) }
}

/** Up to where such a row says that the chain was cut; undefined for any other row. */
export function cutOf(body: string): Head | undefined {
  // Only few are: most are not parsed for it.
  if (!body.startsWith(`{"event":"${CUT_EVENT}"`)) return undefined
  try {
    const { through, hash } = JSON.parse(body) as { through: unknown; hash: unknown }
    return typeof through === 'number' && typeof hash === 'string' ? { seq: through, hash } : undefined
  } catch {
    return undefined
  }
}
