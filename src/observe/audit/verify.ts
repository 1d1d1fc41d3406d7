/** Proves that an audit trail is what was written down: nothing altered, nothing gone from its middle, nothing put in. */
import { cutOf, FIRST_EVENT, type Head, hashOf, headOf, ORIGIN, type Row } from './row.ts'

export type Verification =
  | {
      readonly intact: true
      readonly rows: number
      /** The first row that is still there. */
      readonly from: number
      /** Undefined for a trail without a row. */
      readonly head?: Head
    }
  | { readonly intact: false; readonly seq: number; readonly problem: string }

/**
 * @param rows by their `seq`, all of them
 * @param anchor where the chain was at some time, as somebody kept it elsewhere: without one nobody can see that the last
 *   rows were taken away, or that the whole chain was made anew
 */
export function verify(rows: Iterable<Row>, anchor?: Head): Verification {
  let first: Row | undefined
  let before: Row | undefined
  let count = 0
  let cut: Head | undefined
  let anchored = anchor === undefined
  for (const row of rows) {
    const { seq, body } = row
    count++
    first ??= row
    if (before !== undefined && seq !== before.seq + 1) {
      return broken(
        before.seq + 1,
        seq === before.seq + 2 ? 'this row is missing' : `rows up to ${seq - 1} are missing`,
      )
    }
    // Of the first one after a cut it is known only later what stood before it.
    if (before !== undefined || seq === 1) {
      const hash = hashOf(before?.hash ?? ORIGIN, row)
      if (!hash.equals(row.hash)) return broken(seq, 'it is not what was written down here')
    }
    if (seq === 1 && !body.startsWith(`{"event":"${FIRST_EVENT}"`)) {
      return broken(1, `the first row is no ${FIRST_EVENT}`)
    }
    const said = cutOf(body)
    if (said !== undefined) {
      if (said.seq >= seq || said.seq < (cut?.seq ?? 0)) return broken(seq, 'it says of a cut what cannot be')
      cut = said
    }
    if (anchor !== undefined && seq === anchor.seq) {
      if (headOf(row).hash !== anchor.hash)
        return broken(seq, 'it is another row than the one that was kept elsewhere')
      anchored = true
    }
    before = row
  }
  if (first === undefined || before === undefined) {
    return anchor === undefined
      ? { intact: true, rows: 0, from: 0 }
      : broken(anchor.seq, 'there are no rows at all')
  }
  if (first.seq !== 1) {
    // What was cut off last is what the first row that is left was chained to.
    if (cut?.seq !== first.seq - 1)
      return broken(first.seq - 1, 'older rows are gone, and no row says that they were cut off')
    if (!hashOf(Buffer.from(cut.hash, 'hex'), first).equals(first.hash)) {
      return broken(first.seq, 'it does not follow what was cut off before it')
    }
  }
  if (!anchored && anchor !== undefined) {
    if (anchor.seq > before.seq)
      return broken(before.seq + 1, `rows up to ${anchor.seq} are missing at the end`)
    // Cut off last, so it is still known.
    if (cut?.seq !== anchor.seq) {
      return broken(
        anchor.seq,
        `it is older than what is kept, which begins with ${first.seq}: give a later one`,
      )
    }
    if (cut.hash !== anchor.hash)
      return broken(anchor.seq, 'it was another row than the one that was kept elsewhere')
  }
  return { intact: true, rows: count, from: first.seq, head: headOf(before) }
}

function broken(seq: number, problem: string): Verification {
  return { intact: false, seq, problem }
}
