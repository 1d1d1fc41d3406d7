/**
 * `npm run bench`: how fast a login is, beside the raw directory and other daemons, in one run.
 *
 *   npm run bench -- [--short] [--rounds N] [--seconds S] [--at N,N] [--write] [PART…]
 *
 * Exits with 1 only on breakage: a reply of the wrong kind, or somebody who can't be measured. `--write` puts the figures into
 * docs/benchmarks.md, and the picture beside it.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Running } from './contender.ts'
import { startDirectory } from './directory.ts'
import { compileClients } from './native.ts'
import { type Section, writePage } from './page.ts'
import { type Bench, parts } from './parts.ts'
import { table } from './report.ts'
import { type Result, runRounds } from './rounds.ts'
import { targets, targetTable } from './targets.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    short: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    at: { type: 'string' },
    write: { type: 'boolean', default: false },
  },
})
const say = (line: string) => void process.stderr.write(`${line}\n`)
const print = (text: string) => void process.stdout.write(`${text}\n`)
const { short } = values
const rounds = Number(values.rounds ?? (short ? 1 : 5))
const seconds = Number(values.seconds ?? (short ? 0.5 : 2))
const connections = (values.at ?? (short ? '16' : '1,16,64')).split(',').map(Number)
const wanted = parts.filter(({ id }) => positionals.length === 0 || positionals.includes(id))
const unknown = positionals.filter(name => !parts.some(({ id }) => id === name))
if (unknown.length > 0) {
  say(`no part is called ${unknown.join(', ')}; there are ${parts.map(({ id }) => id).join(', ')}`)
  process.exit(2)
}

const folder = await mkdtemp(join(tmpdir(), 'gatehouse-bench-'))
const sections: Section[] = []
const all: Result[] = []
try {
  await compileClients(folder)
  const directory = await startDirectory(folder, short ? 500 : 10_000)
  const bench: Bench = {
    directory,
    folder,
    connections,
    durations: { warmUpS: short ? 0.3 : 2, seconds, settleS: short ? 0.5 : 10 },
    say,
  }
  try {
    for (const part of wanted) {
      say(`== ${part.title}`)
      const started: Running[] = []
      try {
        const cases = await part.prepare(bench, started)
        const results = await runRounds(cases, { rounds, directoryPid: () => directory.slapd.pid ?? 0, say })
        const base = (result: Result) =>
          results.find(
            other =>
              part.isBase(other) && other.case.connections === result.case.connections && other !== result,
          )
        sections.push({ ...part, results, table: table(results, base) })
        all.push(...results)
      } finally {
        await Promise.all(started.map(running => running.stop()))
      }
    }
  } finally {
    await directory.slapd.stop()
  }
} finally {
  await rm(folder, { recursive: true, force: true })
}

for (const { title, comparedWith, table } of sections) {
  print(`\n## ${title}\n${comparedWith && `\nRatio ${comparedWith}.\n`}\n${table}`)
}
const reached = targets(all)
print(`\n## Targets\n\n${targetTable(reached)}`)
if (values.write) await writePage({ sections, reached, rounds, seconds })
const broken = all.flatMap(({ case: { name, connections }, broken }) =>
  broken.map(what => `${name}, ${connections}: ${what}`),
)
for (const line of broken) say(`broken: ${line}`)
print(`\n# { total: ${all.length}, pass: ${all.length - broken.length}, fail: ${broken.length} }`)
process.exitCode = broken.length > 0 ? 1 : 0
