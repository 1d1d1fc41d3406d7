/**
 * `npm run test:fuzz`: every file of tests that holds a property test, each property many times as often as `npm test` runs
 * it (docs/fuzzing.md). Prints the seed; the same seed draws the same values.
 */
import { spawnSync } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'

const { values, positionals } = parseArgs({
  options: {
    times: { type: 'string', default: '50' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
  },
  allowPositionals: true,
})
const { times, seed } = values
/** For one file, in seconds. */
const TIMEOUT = 3_600

/** By itself or through a file beside it, as the tests of all the stores of the lockout do. */
function hasProperties(file: string): boolean {
  const text = readFileSync(file, 'utf8')
  const near = [...text.matchAll(/from '(\.\/[^']+)'/g)].map(([, path = '']) => join(dirname(file), path))
  return text.includes('/support/runs.ts') || near.some(hasProperties)
}

const properties = globSync('test/**/*.test.ts').filter(hasProperties).sort()
const files = positionals.length > 0 ? positionals : properties
const { status } = spawnSync('tap', ['--disable-coverage', `--timeout=${TIMEOUT}`, ...files], {
  stdio: 'inherit',
  env: { ...process.env, GATEHOUSE_FUZZ_TIMES: times, GATEHOUSE_FUZZ_SEED: seed },
})
process.stdout.write(`\nseed ${seed}, ${times} times: ${status === 0 ? 'every property held' : 'FAILED'} `)
process.stdout.write(`(again: npm run test:fuzz -- --seed ${seed} --times ${times} FILE)\n`)
process.exitCode = status === 0 ? 0 : 1
