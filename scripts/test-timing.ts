/**
 * `npm run test:timing`: refusals of every kind and every order of backends, and whether their time or their bytes tell them apart
 * (docs/timing.md). `--all` is the whole campaign, about half an hour; without it a short form. Fails if a pair of medians is 5 % apart,
 * or a rank test rejects at 0.01, corrected for how many there are.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Row } from '../test/timing/scene.ts'
import { holm } from '../test/timing/statistics.ts'

const ALPHA = 0.01
const MOST_APART = 0.05
/** In seconds. */
const TIMEOUT = 7_200
const SHORT_SAMPLES = '150'

const { values } = parseArgs({
  options: {
    all: { type: 'boolean', default: false },
    samples: { type: 'string' },
    seed: { type: 'string' },
  },
})
const { all, samples = all ? '2000' : SHORT_SAMPLES, seed = String(Date.now() % 2 ** 31) } = values
const folder = mkdtempSync(join(tmpdir(), 'gatehouse-timing-'))
const rowsFile = join(folder, 'rows.jsonl')
const { status } = spawnSync(
  'tap',
  ['--disable-coverage', `--timeout=${TIMEOUT}`, 'test/timing/failures.timing.ts'],
  {
    stdio: 'inherit',
    env: {
      ...process.env,
      GATEHOUSE_TIMING_ROWS: rowsFile,
      GATEHOUSE_TIMING_SAMPLES: samples,
      GATEHOUSE_TIMING_SEED: seed,
      GATEHOUSE_TIMING_ORDERS: all ? 'all' : 'short',
    },
  },
)
const written = existsSync(rowsFile) ? readFileSync(rowsFile, 'utf8').split('\n') : []
const rows = written.filter(line => line !== '').map((line): Row => JSON.parse(line))
rmSync(folder, { recursive: true })

const tested = rows.filter(({ control }) => !control)
const rejected = holm(
  tested.map(({ p }) => p),
  ALPHA,
)
const toldApart = new Set(tested.filter((_, index) => rejected[index]))
const apart = ({ unknownMs, kindMs }: Row) => Math.abs(kindMs - unknownMs) / unknownMs
const holds = (row: Row) => (row.control ? row.p < 1e-6 : apart(row) <= MOST_APART && !toldApart.has(row))

const lines = rows.map(row => {
  const { order, kind, samples, unknownMs, kindMs, p } = row
  const result = row.control ? 'told apart, as it must be' : 'the same'
  const cells = [
    order,
    kind,
    String(samples),
    unknownMs.toFixed(1),
    kindMs.toFixed(1),
    `${((kindMs / unknownMs - 1) * 100).toFixed(2)} %`,
    p < 1e-99 ? '< 1e-99' : p < 0.0001 ? p.toExponential(1) : p.toFixed(4),
    holds(row) ? result : 'BROKEN',
  ]
  return `| ${cells.join(' | ')} |`
})
const broken = rows.filter(row => !holds(row)).length
process.stdout.write(`
| backends | against an unknown name | samples | unknown, ms | this, ms | difference | p | result |
|---|---|---|---|---|---|---|---|
${lines.join('\n')}

seed ${seed}: ${tested.length} comparisons, the smallest p is ${Math.min(...tested.map(({ p }) => p)).toFixed(4)}, ${broken} broken
`)
process.exitCode = status === 0 && tested.length > 0 && broken === 0 ? 0 : 1
