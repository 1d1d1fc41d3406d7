/**
 * npm run coverage, after a whole `npm test`: fails when less of `src/` is covered than we hold ourselves to. A floor,
 * not a goal: what a test promises counts, not which lines it passes through.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

const FLOOR_PERCENT = { lines: 97, branches: 92 } as const

execFileSync('tap', ['report', 'json-summary'], { stdio: 'ignore' })
const { total } = JSON.parse(readFileSync('.tap/report/coverage-summary.json', 'utf8'))

for (const [measure, floor] of Object.entries(FLOOR_PERCENT)) {
  const { pct } = total[measure]
  process.stdout.write(`${measure} covered: ${pct} % (at least ${floor} %)\n`)
  if (!(pct >= floor)) process.exitCode = 1
}
