/**
 * `npm run test:attack`: every attack that the lockout is there for, played and counted, and one table of what came of them
 * (docs/attacks.md). Fails if one bound is broken.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Row } from '../test/attack/scene.ts'
import { tableOf } from '../test/attack/table.ts'

const { values, positionals } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    sources: { type: 'string' },
    hours: { type: 'string' },
    memory: { type: 'string' },
  },
  allowPositionals: true,
})
const { seed, sources, hours, memory } = values
/** For one file, in seconds. Days of an attack with a full memory take minutes. */
const TIMEOUT = 1_800

const scenes = positionals.length > 0 ? positionals : globSync('test/attack/*.attack.ts').sort()
const folder = mkdtempSync(join(tmpdir(), 'gatehouse-attack-'))
const rowsFile = join(folder, 'rows.jsonl')
const env = {
  ...process.env,
  GATEHOUSE_ATTACK_ROWS: rowsFile,
  GATEHOUSE_ATTACK_SEED: seed,
  ...(sources !== undefined && { GATEHOUSE_ATTACK_SOURCES: sources }),
  ...(hours !== undefined && { GATEHOUSE_ATTACK_HOURS: hours }),
  ...(memory !== undefined && { GATEHOUSE_ATTACK_MEMORY_MIB: memory }),
}
const { status } = spawnSync('tap', ['--disable-coverage', `--timeout=${TIMEOUT}`, ...scenes], {
  stdio: 'inherit',
  env,
})
const rows: Row[] = (existsSync(rowsFile) ? readFileSync(rowsFile, 'utf8') : '')
  .split('\n')
  .filter(line => line !== '')
  .map((line): Row => JSON.parse(line))
  // Files run side by side; each writes its own in order.
  .sort((a, b) => a.file.localeCompare(b.file))
rmSync(folder, { recursive: true })

const broken = rows.filter(({ result }) => result === 'BROKEN').length
process.stdout.write(`\n${tableOf(rows)}\n\nseed ${seed}: ${rows.length} rows, ${broken} broken\n`)
process.exitCode = status === 0 && rows.length > 0 && broken === 0 ? 0 : 1
