/**
 * From the start of the process to the first 200 of /readyz, as the sources run (`npm start`) and as the image does (`npm run build`
 * first): in an empty folder, which has no database and no admin yet, and once more in the same one.
 *
 *   node bench/start.ts [--runs N] [--checkout FOLDER]...
 *
 * Forms take turns, so that a busy machine is busy for all of them; with several checkouts, so do those. CPU is all of the
 * process's threads; it has ticks of 10 ms.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { startDirectory } from './directory.ts'
import { cpuSeconds } from './usage.ts'

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '11' },
    checkout: { type: 'string', multiple: true, default: [resolve(import.meta.dirname, '..')] },
  },
})
const runs = Number(values.runs)
if (!Number.isInteger(runs) || runs < 1) throw new Error(`--runs is how often, not ${values.runs}`)
const programs = values.checkout.flatMap(checkout =>
  ['src/main.ts', 'dist/main.js'].map(form => resolve(checkout, form)).filter(existsSync),
)

interface Taken {
  readonly wallMs: number
  readonly cpuMs: number
}

/** What was measured, by the line of the table. */
const taken = new Map<string, Taken[]>()

function note(line: string, figures: Taken): void {
  taken.set(line, [...(taken.get(line) ?? []), figures])
}

/** A process that ends by itself. Its CPU is that of our ended children, before and after. */
async function runToEnd(args: readonly string[], cwd: string): Promise<Taken> {
  const [began, cpu] = [performance.now(), endedCpuMs()]
  await once(spawn(process.execPath, args, { cwd, stdio: 'ignore' }), 'exit')
  return { wallMs: performance.now() - began, cpuMs: endedCpuMs() - cpu }
}

/** cutime and cstime of proc(5), in milliseconds; clock ticks are hundredths of a second. */
function endedCpuMs(): number {
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ').at(-1)?.split(' ') ?? []
  return (Number(fields[13]) + Number(fields[14])) * 10
}

/** @throws Error with the output of a daemon that ends before it serves */
async function startUntilReady(program: string, config: string, cwd: string): Promise<Taken> {
  const began = performance.now()
  const daemon = spawn(process.execPath, [program, 'serve', '--config', config], {
    cwd,
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const ended = once(daemon, 'exit')
  try {
    const url = await urlOf(daemon)
    while ((await fetch(`${url}/readyz`)).status !== 200) await pause(1)
    return { wallMs: performance.now() - began, cpuMs: cpuSeconds([daemon.pid ?? 0]) * 1000 }
  } finally {
    daemon.kill('SIGTERM')
    await ended
  }
}

async function urlOf({ stdout }: ChildProcess): Promise<string> {
  const lines: string[] = []
  if (stdout === null) throw new Error('the daemon has no output')
  for await (const line of createInterface({ input: stdout })) {
    lines.push(line)
    const { event, url } = JSON.parse(line)
    if (event === 'sys_startup') {
      stdout.resume()
      return url
    }
  }
  throw new Error(`the daemon does not start: ${lines.join('\n')}`)
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? Number.NaN
}

const folder = await mkdtemp(join(tmpdir(), 'gatehouse-start-'))
const directory = await startDirectory(folder, 10)
try {
  const { ldapUrl, serviceDn, servicePassword, baseDn } = directory.slapd
  const chains = {
    'embedded default': [
      { id: 'email', type: 'email' },
      { id: 'local', type: 'local' },
    ],
    'one LDAP backend': [
      {
        id: 'corp',
        type: 'ldap',
        preset: 'openldap',
        urls: [ldapUrl],
        insecure: true,
        bind: { dn: serviceDn, password: servicePassword },
        base_dn: baseDn,
      },
    ],
  }
  // Round 0 fills the caches, of the disk and of compiled code, and does not count.
  for (let round = 0; round <= runs; round++) {
    const measured: [line: string, Taken][] = [['Node.js alone', await runToEnd(['-e', '0'], folder)]]
    for (const program of programs) {
      measured.push([`${program}: loading`, await runToEnd([program, 'serve', '--help'], folder)])
      for (const [name, backends] of Object.entries(chains)) {
        const cwd = join(folder, 'fresh')
        await mkdir(cwd)
        const config = join(cwd, 'gatehouse.yaml')
        // YAML is a superset of JSON.
        const settings = { listen: { port: 0 }, admin: { port: 0 }, log: { format: 'json' }, backends }
        await writeFile(config, JSON.stringify(settings), { mode: 0o600 })
        for (const which of ['first start', 'second start']) {
          measured.push([`${program}: ${name}, ${which}`, await startUntilReady(program, config, cwd)])
        }
        await rm(cwd, { recursive: true })
      }
    }
    if (round > 0) for (const [line, figures] of measured) note(line, figures)
  }
} finally {
  await directory.slapd.stop()
  await rm(folder, { recursive: true, force: true })
}

process.stdout.write(`Medians of ${runs}, in milliseconds.\n\n`)
process.stdout.write('| | wall | least wall | CPU |\n|---|---|---|---|\n')
for (const [line, figures] of taken) {
  const walls = figures.map(({ wallMs }) => wallMs)
  const cells = [median(walls), Math.min(...walls), median(figures.map(({ cpuMs }) => cpuMs))]
  process.stdout.write(`| ${line} | ${cells.map(Math.round).join(' | ')} |\n`)
}
