/**
 * `npm run conformance`: what other login systems' suites demand, and what their advisories warn of, against this one
 * (docs/conformance.md). One table, a line per id. Fails if a line fails or is missing, or if the page is out of date;
 * `--write` writes the page.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { demands, type Id, type Row } from '../test/conformance/suite.ts'
import { tableOf, withTable } from '../test/conformance/table.ts'

const PAGE = 'docs/conformance.md'
/** For one file, in seconds. */
const TIMEOUT = 300

const { values, positionals } = parseArgs({
  options: { write: { type: 'boolean', default: false } },
  allowPositionals: true,
})
const files = positionals.length > 0 ? positionals : globSync('test/conformance/*.conformance.ts').sort()
const folder = mkdtempSync(join(tmpdir(), 'gatehouse-conformance-'))
const rowsFile = join(folder, 'rows.jsonl')
const { status } = spawnSync('tap', ['--disable-coverage', `--timeout=${TIMEOUT}`, ...files], {
  stdio: 'inherit',
  env: { ...process.env, GATEHOUSE_CONFORMANCE_ROWS: rowsFile },
})
const written = existsSync(rowsFile) ? readFileSync(rowsFile, 'utf8').split('\n') : []
const rows = written.filter(line => line !== '').map((line): Row => JSON.parse(line))
rmSync(folder, { recursive: true })

const whole = positionals.length === 0
const byId = new Map(rows.map(row => [row.id, row]))
const twice = rows.filter(row => byId.get(row.id) !== row).map(({ id }) => id)
const ids = (Object.keys(demands) as Id[]).filter(id => whole || byId.has(id))
const missing = ids.filter(id => !byId.has(id))
const failed = rows.filter(({ result }) => result === 'FAIL').map(({ id }) => id)
const table = tableOf(ids, byId)
process.stdout.write(`\n${table}\n\n`)

let outOfDate = false
if (whole) {
  const page = readFileSync(PAGE, 'utf8')
  const current = withTable(page, table)
  if (values.write) writeFileSync(PAGE, current)
  else outOfDate = page !== current
}
const counts = Object.entries(Object.groupBy(rows, ({ result }) => result)).map(
  ([result, of]) => `${of?.length} ${result}`,
)
process.stdout.write(`${ids.length} lines: ${counts.join(', ')}\n`)
if (missing.length > 0) process.stdout.write(`missing: ${missing.join(', ')}\n`)
if (twice.length > 0) process.stdout.write(`claimed by two files: ${twice.join(', ')}\n`)
if (failed.length > 0) process.stdout.write(`failed: ${failed.join(', ')}\n`)
if (outOfDate) process.stdout.write(`${PAGE} is out of date: npm run conformance -- --write\n`)
const holds = status === 0 && rows.length > 0 && missing.length + twice.length + failed.length === 0
process.exitCode = holds && !outOfDate ? 0 : 1
