/** The chain itself: what is found out, and what is not without an anchor. */
import fc from 'fast-check'
import t from 'tap'
import { type AuditTable, createLedger } from '../../../src/observe/audit/ledger.ts'
import { hashOf, headOf, ORIGIN, type Row } from '../../../src/observe/audit/row.ts'
import { verify } from '../../../src/observe/audit/verify.ts'

/** Rows in memory. */
function memoryTable(): AuditTable & { rows: Row[] } {
  const table = {
    rows: [] as Row[],
    inOneStep: <T>(work: () => T) => work(),
    last: () => table.rows.at(-1),
    append: (row: Row) => void table.rows.push(row),
    first: (most: number) => table.rows.slice(0, most),
    removeThrough: (through: number) => {
      table.rows = table.rows.filter(({ seq }) => seq > through)
    },
    close: () => {},
  }
  return table
}

const entry = (n: number) => ({
  at: 1_000 * n,
  body: JSON.stringify({ event: 'authn_login_fail', request_id: `r${n}` }),
})

/** A genesis row and as many more. */
function trailOf(count: number) {
  const table = memoryTable()
  const ledger = createLedger(table, () => 0)
  ledger.append(
    Array.from({ length: count }, (_, index) => entry(index + 1)),
    false,
  )
  return { table, ledger }
}

t.test('a chain that nobody was at is intact, and so is none at all', async t => {
  const { table } = trailOf(9)
  const head = headOf(table.rows[9] as Row)
  t.same(verify(table.rows), { intact: true, rows: 10, from: 1, head })
  t.same(verify(table.rows, head), { intact: true, rows: 10, from: 1, head })
  t.same(verify([]), { intact: true, rows: 0, from: 0 })
  t.match(verify([], head), { intact: false, seq: 10 })
})

t.test('whatever is altered, taken out, put in or moved is found, with its row', async t => {
  const change = fc.oneof(
    fc.record({ how: fc.constant('body' as const), text: fc.string({ minLength: 1, unit: 'binary' }) }),
    fc.record({ how: fc.constant('at' as const), by: fc.integer({ min: 1, max: 1e9 }) }),
    fc.record({ how: fc.constant('hash' as const), bit: fc.nat(255) }),
    fc.record({ how: fc.constantFrom('remove' as const, 'double' as const, 'swap' as const) }),
  )
  const run = fc.check(
    fc.property(fc.integer({ min: 3, max: 12 }), fc.nat(), change, (count, where, change) => {
      const { table } = trailOf(count)
      const rows = [...table.rows]
      // Not the last one: what is missing at the end is another test.
      const index = where % (rows.length - 1)
      const row = rows[index] as Row
      switch (change.how) {
        case 'body':
          rows[index] = { ...row, body: row.body + change.text }
          break
        case 'at':
          rows[index] = { ...row, at: row.at + change.by }
          break
        case 'hash': {
          const hash = Buffer.from(row.hash)
          hash[change.bit >> 3] = (hash[change.bit >> 3] ?? 0) ^ (1 << (change.bit & 7))
          rows[index] = { ...row, hash }
          break
        }
        case 'remove':
          rows.splice(index, 1)
          break
        case 'double':
          rows.splice(index, 0, row)
          break
        case 'swap':
          rows.splice(index, 2, { ...(rows[index + 1] as Row), seq: row.seq }, { ...row, seq: row.seq + 1 })
      }
      const found = verify(rows)
      return !found.intact && Math.abs(found.seq - row.seq) <= 1
    }),
    { numRuns: 300 },
  )
  t.equal(run.failed, false, JSON.stringify(run.counterexample))
})

t.test('rows that are gone from the end are missed only by whoever kept an anchor', async t => {
  const { table } = trailOf(9)
  const head = headOf(table.rows[9] as Row)
  const shortened = table.rows.slice(0, 7)
  t.match(verify(shortened), { intact: true })
  t.same(verify(shortened, head), { intact: false, seq: 8, problem: 'rows up to 10 are missing at the end' })
})

t.test('a chain that was made anew from some row on is another one for whoever kept an anchor', async t => {
  const { table } = trailOf(9)
  const anchor = headOf(table.rows[5] as Row)
  const forged = memoryTable()
  forged.rows = table.rows.slice(0, 4)
  createLedger(forged, () => 0).append([entry(99), entry(5), entry(6)], false)
  t.match(verify(forged.rows), { intact: true })
  t.match(verify(forged.rows, anchor), { intact: false, seq: 6 })
})

t.test('no two different rows are the same octets', async t => {
  const row = { seq: 1, at: 2, body: 'ab' }
  const others = [
    { ...row, seq: 2 },
    { ...row, at: 1 },
    { ...row, at: 2 + 256 },
    { ...row, body: 'a' },
    { ...row, body: 'ab\0' },
  ]
  const hashes = [row, ...others].map(row => hashOf(ORIGIN, row).toString('hex'))
  hashes.push(hashOf(Buffer.alloc(32, 1), row).toString('hex'))
  t.equal(new Set(hashes).size, 7)
})

t.test('what is too old is cut off in steps, and the chain is still one', async t => {
  const { table, ledger } = trailOf(2_500)
  const cutAt = (seq: number) => headOf(table.rows.find(row => row.seq === seq) as Row)
  const middle = cutAt(1_000)
  const older = cutAt(900)
  t.equal(ledger.cut(2_001_000), true, 'there is more')
  t.match(verify(table.rows), { intact: true, from: 1_001 })
  t.match(verify(table.rows, middle), { intact: true }, 'an anchor at the cut itself still counts')
  t.match(verify(table.rows, { ...middle, hash: older.hash }), { intact: false, seq: 1_000 })
  t.match(verify(table.rows, older), { intact: false, problem: /older than what is kept/ })
  t.equal(ledger.cut(2_001_000), true)
  t.equal(ledger.cut(2_001_000), false, 'and that was all')
  t.match(verify(table.rows), { intact: true, from: 2_002 })
  t.match(table.rows[0], { at: 2_001_000 }, 'as old as may be is not too old')
  const size = table.rows.length
  ledger.cut(2_001_000)
  t.equal(table.rows.length, size, 'no row is written about a cut of nothing')
  ledger.append([entry(1)], false)
  t.match(verify(table.rows), { intact: true })

  t.match(verify(table.rows.slice(1)), { intact: false, seq: 2_002 }, 'a cut that no row tells of')
  const [first, ...rest] = table.rows as [Row, ...Row[]]
  t.match(
    verify([{ ...first, body: '{}' }, ...rest]),
    { intact: false, seq: 2_002 },
    'the first that is left counts, too',
  )
})

t.test('the last row is never cut off', async t => {
  const { table, ledger } = trailOf(3)
  ledger.cut(Number.MAX_SAFE_INTEGER)
  t.same(
    table.rows.map(({ seq }) => seq),
    [4, 5],
  )
  t.match(verify(table.rows), { intact: true, from: 4 })
})

t.test('a batch that may have been written already is not written twice', async t => {
  const { table, ledger } = trailOf(3)
  const batch = [entry(7), entry(8)]
  const head = ledger.append(batch, false)
  t.same(ledger.append(batch, true), head)
  t.equal(table.rows.length, 6)
  t.equal(ledger.append([entry(9)], true).seq, 7, 'one that was not is')
})
