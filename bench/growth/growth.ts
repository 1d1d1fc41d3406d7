/**
 * `npm run bench:growth`: what becomes of the costs when there is more of something. Names of questions after it ask only those.
 *
 *   --short   sizes cut; for CI. Like the long form it fails where something does not work, or where a cost grows
 *             beyond any doubt that should not
 *   --write   puts the tables into docs/growth.md
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { writeBetween } from '../marks.ts'
import { compileClients } from '../native.ts'
import { accounts } from './accounts.ts'
import { backends } from './backends.ts'
import { connections } from './connections.ts'
import { groups } from './groups.ts'
import { memory } from './memory.ts'
import { grown, type Row, type Scope, toTables } from './row.ts'
import { startUp } from './start-up.ts'

const QUESTIONS: Readonly<Record<string, (scope: Scope) => Promise<readonly Row[]>>> = {
  accounts,
  backends,
  groups,
  connections,
  'start-up': startUp,
  memory,
}
const PAGE = fileURLToPath(new URL('../../docs/growth.md', import.meta.url))

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { short: { type: 'boolean', default: false }, write: { type: 'boolean', default: false } },
})
const names = positionals.length > 0 ? positionals : Object.keys(QUESTIONS)
const broken: string[] = []
const root = await mkdtemp(join(tmpdir(), 'gatehouse-growth-'))
try {
  await compileClients(root)
  for (const name of names) await answer(name)
} finally {
  await rm(root, { recursive: true, force: true })
}
for (const problem of broken) process.stderr.write(`FAILED ${problem}\n`)
process.exitCode = broken.length > 0 ? 1 : 0

async function answer(name: string): Promise<void> {
  const ask = QUESTIONS[name]
  if (ask === undefined) {
    broken.push(`there is no question "${name}": choose from ${Object.keys(QUESTIONS).join(', ')}`)
    return
  }
  const folder = join(root, name)
  await mkdir(folder)
  const say = (line: string) => void process.stderr.write(`${name}: ${line}\n`)
  try {
    const complain = (line: string) => void broken.push(`${name}: ${line}`)
    const rows = await ask({ short: values.short, folder, clients: root, say, complain })
    const tables = toTables(rows)
    process.stdout.write(`${tables}\n\n`)
    broken.push(...grown(rows))
    if (values.write) await writeTables(name, tables)
  } catch (error) {
    broken.push(`${name}: ${error instanceof Error ? error.stack : String(error)}`)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Between the two marks that the page has for each question. */
function writeTables(name: string, tables: string): Promise<void> {
  const taken = `Taken ${new Date().toISOString().slice(0, 10)} with Node.js ${process.versions.node} on ${cpus().length} cores.`
  const marks = { begin: `<!-- ${name} -->`, end: `<!-- end of ${name} -->` }
  return writeBetween(PAGE, marks, `${tables}\n\n${taken}`)
}
