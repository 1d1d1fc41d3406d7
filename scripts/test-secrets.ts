/**
 * `npm run test:secrets`: secrets that can be found again, sent through every way that there is, and looked for everywhere
 * (docs/secrets.md). Fails if one is found where it may not be, or if one would not have been found.
 */
import { spawnSync } from 'node:child_process'
import { globSync } from 'node:fs'

/** For one file, in seconds. */
const TIMEOUT = 300

const asked = process.argv.slice(2)
const files = asked.length > 0 ? asked : globSync('test/secrets/*.secrets.ts').sort()
const { status } = spawnSync('tap', ['--disable-coverage', `--timeout=${TIMEOUT}`, ...files], {
  stdio: 'inherit',
})
process.exitCode = status === 0 ? 0 : 1
