/**
 * `npm run bench:profile`: where the main thread of the daemon is while people log in, by V8's sampling profiler.
 *
 *   npm run bench:profile -- [--at N] [--seconds S] [--short] [--write]
 *
 * `--short`, for CI, shows only that it works. `--write` puts the tables into docs/benchmarks.md. What is sampled is time and not
 * CPU: where the kernel gives the processor to somebody else meanwhile, that is in it, most of it at the writes that wake them.
 */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { caseOf } from './client.ts'
import { gatehouse } from './contenders/gatehouse.ts'
import { startDirectory } from './directory.ts'
import { writeBetween } from './marks.ts'
import { compileClients } from './native.ts'
import { mainThreadSeconds } from './usage.ts'

const PAGE = fileURLToPath(new URL('../docs/benchmarks.md', import.meta.url))
const MARKS = {
  begin: '<!-- profile: written by npm run bench:profile -- --write -->',
  end: '<!-- end of profile -->',
}
/** Of samples, in microseconds. */
const INTERVAL_US = 200
/** Under load before what counts: so long compilers take. */
const SETTLE_S = 10
/** Less than so many hundredths get no row. */
const LEAST = 1
const FUNCTIONS = 12

/** As `--cpu-prof` writes it. Times are in microseconds of the monotonic clock. */
interface Profile {
  readonly startTime: number
  readonly nodes: readonly ProfileNode[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

interface ProfileNode {
  readonly id: number
  readonly callFrame: CallFrame
}

interface CallFrame {
  readonly functionName: string
  readonly url: string
  readonly lineNumber: number
}

const { values } = parseArgs({
  options: {
    at: { type: 'string', default: '64' },
    seconds: { type: 'string', default: '10' },
    short: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
  },
})
const connections = Number(values.at)
const [people, settleS, seconds] = values.short ? [500, 0.5, 0.5] : [10_000, SETTLE_S, Number(values.seconds)]
if (!(Number.isInteger(connections) && connections > 0)) throw new Error(`--at is how many, not ${values.at}`)
if (!(seconds > 0)) throw new Error(`--seconds is how long, not ${values.seconds}`)
const root = await mkdtemp(join(tmpdir(), 'gatehouse-profile-'))
try {
  const { profile, window, mainUs } = await record()
  const text = `With ${connections} logins at once. The main thread takes ${mainUs.toFixed(0)} µs of CPU a login, profiler included.\n\n${tables(profile, window)}`
  process.stdout.write(`${text}\n`)
  if (values.write) await writeBetween(PAGE, MARKS, text)
} finally {
  await rm(root, { recursive: true, force: true })
}

async function record() {
  await compileClients(root)
  const directory = await startDirectory(root, people)
  try {
    const folder = join(root, 'daemon')
    const profiles = join(root, 'profiles')
    const contender = gatehouse({
      name: 'profiled',
      remark: '',
      nodeArgs: ['--cpu-prof', `--cpu-prof-dir=${profiles}`, `--cpu-prof-interval=${INTERVAL_US}`],
    })
    const running = await contender.start(directory, folder)
    const [pid = 0] = running.pids
    const window = { from: 0, to: 0 }
    const main = { from: 0, to: 0 }
    try {
      const requests = directory.people.map(({ uid, password }) => running.request(uid, password))
      const login = await caseOf(root, running, requests, {
        name: 'profiled',
        connections,
        expects: running.accepted,
        warmUpS: settleS,
        seconds,
      })
      const note = (at: 'from' | 'to') => () => {
        window[at] = Number(process.hrtime.bigint() / 1000n)
        main[at] = mainThreadSeconds(pid)
      }
      const { kinds } = await login.run({ onBegin: note('from'), onEnd: note('to') })
      const { [running.accepted]: accepted = 0, ...others } = kinds
      if (accepted === 0 || Object.keys(others).length > 0)
        throw new Error(`not everybody was let in: ${JSON.stringify(kinds)}`)
      const mainUs = ((main.to - main.from) / accepted) * 1e6
      await running.stop()
      const [file = ''] = await readdir(profiles)
      const profile = JSON.parse(await readFile(join(profiles, file), 'utf8')) as Profile
      return { profile, window, mainUs }
    } finally {
      await running.stop()
    }
  } finally {
    await directory.slapd.stop()
  }
}

function tables(profile: Profile, { from, to }: { readonly from: number; readonly to: number }): string {
  const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame]))
  const places = new Map<string, number>()
  const functions = new Map<string, number>()
  let at = profile.startTime
  let busy = 0
  for (const [index, id] of profile.samples.entries()) {
    const took = profile.timeDeltas[index] ?? 0
    at += took
    const frame = frames.get(id)
    if (at < from || at > to || frame === undefined || frame.functionName === '(idle)') continue
    busy += took
    add(places, placeOf(frame), took)
    if (frame.url !== '') add(functions, nameOf(frame), took)
  }
  const shares = (counted: Map<string, number>) =>
    [...counted].map(([name, us]) => ({ name, share: (us / busy) * 100 })).sort((a, b) => b.share - a.share)
  const rows = (shown: readonly { readonly name: string; readonly share: number }[]) =>
    shown.map(({ name, share }) => `| ${name} | ${share.toFixed(1)} |`).join('\n')
  const all = shares(places)
  const shown = all.filter(({ share }) => share >= LEAST)
  const others = all.slice(shown.length).reduce((sum, { share }) => sum + share, 0)
  return [
    `| where it is | % |\n| --- | ---: |\n${rows([...shown, { name: 'elsewhere', share: others }])}`,
    `The functions in JavaScript that take most:\n\n| function | % |\n| --- | ---: |\n${rows(shares(functions).slice(0, FUNCTIONS))}`,
  ].join('\n\n')
}

function add(counted: Map<string, number>, name: string, us: number): void {
  counted.set(name, (counted.get(name) ?? 0) + us)
}

/** The room of a function: a folder of ours, a package, Node.js, or what is in none of them. */
function placeOf({ functionName, url }: CallFrame): string {
  const own = /\/src\/((?:[\w-]+\/)*)[^/]*$/.exec(url)?.[1]
  const dependency = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1]
  if (dependency !== undefined) return `\`${dependency}\``
  if (own !== undefined) return `\`src/${own}\``
  if (url.startsWith('node:')) return 'Node.js, in JavaScript'
  switch (functionName) {
    case 'writeBuffer':
      return 'writes to the directory'
    case 'writeUtf8String':
    case 'writeLatin1String':
      return 'writes to callers'
    case 'postMessage':
      return 'rows handed to the audit thread'
    case '(garbage collector)':
      return 'garbage collection'
    case '(program)':
      return 'Node.js, V8 and the kernel outside of any function'
    case 'runMicrotasks':
      return 'promises'
    default:
      return 'functions of V8 and Node.js that are not JavaScript'
  }
}

function nameOf({ functionName, url, lineNumber }: CallFrame): string {
  const file = url.replace(/^.*\/(?=(?:src|node_modules)\/)/, '')
  return `\`${functionName || '(anonymous)'}\`, ${file}:${lineNumber + 1}`
}
