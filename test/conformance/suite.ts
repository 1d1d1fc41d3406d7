/**
 * The frame of the conformance suite (docs/conformance.md). Each id of behaviours.md and advisories.md is claimed by exactly one
 * test, which is named by it, or is said not to apply. `npm run conformance` makes one table of all.
 */
import { appendFileSync } from 'node:fs'
import { basename } from 'node:path'
import t, { type Test } from 'tap'
import { advisories } from './advisories.ts'
import { behaviours } from './behaviours.ts'

export type Id = keyof typeof demands

/** What other systems' suites and their mistakes demand of us, by id. */
export const demands = { ...behaviours, ...advisories } as const

/** One line of the table, as a file of JSON lines carries it from the tests to whoever prints them. */
export interface Row {
  readonly id: string
  readonly result: 'pass' | 'differs by decision' | 'does not apply' | 'FAIL'
  /** Why it differs or does not apply. */
  readonly reason?: string
  readonly file: string
}

const rowsFile = process.env.GATEHOUSE_CONFORMANCE_ROWS
const claimed = new Set<Id>()

/** We do what the line says: `test` shows it. */
export function conforms(id: Id, test: (t: Test) => Promise<unknown>): void {
  play(id, test, { result: 'pass' })
}

/**
 * We decided otherwise: `test` shows what we do instead.
 *
 * @param reason what we do and why, in a sentence for the table
 */
export function differs(id: Id, reason: string, test: (t: Test) => Promise<unknown>): void {
  play(id, test, { result: 'differs by decision', reason })
}

/** @param reason why there is nothing that could be tested, in a sentence for the table */
export function doesNotApply(id: Id, reason: string): void {
  claim(id)
  write({ id, result: 'does not apply', reason })
}

function play(id: Id, test: (t: Test) => Promise<unknown>, row: Omit<Row, 'id' | 'file'>): void {
  claim(id)
  void t.test(`${id} ${demands[id]}`, async t => {
    let result: Row['result'] = 'FAIL'
    try {
      await test(t)
      t.ok(t.count > 0, 'something was asserted')
      if (t.passing()) result = row.result
    } finally {
      write({ id, ...row, result })
    }
  })
}

function claim(id: Id): void {
  if (claimed.has(id)) throw new Error(`${id} is claimed twice`)
  claimed.add(id)
}

function write(row: Omit<Row, 'file'>): void {
  const file = basename(process.argv[1] ?? '')
  if (rowsFile !== undefined) appendFileSync(rowsFile, `${JSON.stringify({ ...row, file })}\n`)
}
