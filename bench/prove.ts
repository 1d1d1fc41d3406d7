/**
 * Whether each contender tells right passwords from wrong ones: `node bench/prove.ts [PART OF A NAME]`, by hand. One after the
 * other it starts, is asked through the client in C, and its replies are told by kind, with a rough throughput beside the
 * raw ceiling's. Exits with 1 when a reply is not what it should be. Who is not on this machine is left out, and said so.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Contender, NotHere, type Running } from './contender.ts'
import { keepers, peers } from './contenders/all.ts'
import { type BenchDirectory, startDirectory } from './directory.ts'
import { compileClients, packTexts, runClient } from './native.ts'
import { cpuSeconds, residentMiB } from './usage.ts'

const CONNECTIONS = Number(process.env.PROVE_CONNECTIONS ?? 16)
const SECONDS = Number(process.env.PROVE_SECONDS ?? 3)
const [wanted = ''] = process.argv.slice(2)

const folder = await mkdtemp(join(tmpdir(), 'gatehouse-prove-'))
await compileClients(folder)
const directory = await startDirectory(folder, 10_000)
try {
  for (const [index, contender] of [...peers, ...keepers].entries()) {
    if (!contender.name.toLowerCase().includes(wanted.toLowerCase())) continue
    await prove(contender, directory, join(folder, `contender-${index}`)).catch(error => {
      const absent = error instanceof NotHere
      if (!absent) process.exitCode = 1
      say(contender.name, `${absent ? 'not here' : 'FAILED'}: ${absent ? error.message : String(error)}`)
    })
  }
} finally {
  await directory.slapd.stop('SIGKILL')
  await rm(folder, { recursive: true, force: true })
}

async function prove(contender: Contender, { slapd, people }: BenchDirectory, own: string): Promise<void> {
  await mkdir(own)
  const began = performance.now()
  const running = await contender.start(directory, own)
  say(contender.name, `up after ${((performance.now() - began) / 1_000).toFixed(1)} s (${contender.remark})`)
  try {
    const right = people.map(({ uid, password }) => running.request(uid, password))
    await exchange(contender.name, 'right', running, right, running.accepted, slapd.pid)
    const wrong = people.map(({ uid }) => running.request(uid, `wrong-${uid}-horse`))
    await exchange(contender.name, 'wrong', running, wrong, running.refused, slapd.pid)
    const unknown = people.map(({ uid }) => running.request(`no-${uid}`, `right-${uid}-horse`))
    await exchange(contender.name, 'unknown', running, unknown, running.refused, slapd.pid)
  } finally {
    await running.stop()
  }
}

async function exchange(
  name: string,
  label: string,
  running: Running,
  requests: readonly Buffer[],
  expected: string,
  slapd: number | undefined,
): Promise<void> {
  const file = join(folder, 'requests')
  await writeFile(file, packTexts(requests))
  const used = () => [cpuSeconds(running.pids), cpuSeconds([slapd ?? 0])] as const
  let before = used()
  let after = before
  const args = [running.protocol, running.address, `${CONNECTIONS}`, '0.5', `${SECONDS}`, file]
  const { kinds, seconds, p50, p99 } = await runClient(join(folder, 'exchange'), args, {
    onBegin: () => {
      before = used()
    },
    onEnd: () => {
      after = used()
    },
  })
  const count = Object.values(kinds).reduce((sum, many) => sum + many, 0)
  const perLogin = (index: 0 | 1) => Math.round(((after[index] - before[index]) / count) * 1e6)
  // Little's law: fewer than this share of the connections were waiting for a reply that came.
  const stalled = (count / seconds) * (p50 / 1e6) < 0.25 * CONNECTIONS
  const asIntended = count > 0 && kinds[expected] === count && !stalled
  if (!asIntended) process.exitCode = 1
  say(
    name,
    `${label}: ${JSON.stringify(kinds)} ${asIntended ? 'as intended' : `FAILED, expected ${expected}${stalled ? ': connections stand still' : ''}`}, ` +
      `${Math.round(count / seconds)}/s, p50 ${p50} µs, p99 ${p99} µs, CPU a login ${perLogin(0)} µs, ` +
      `slapd's ${perLogin(1)} µs, ${Math.round(residentMiB(running.pids))} MiB`,
  )
}

function say(name: string, text: string): void {
  process.stdout.write(`${name}: ${text}\n`)
}
