/**
 * `npm run bench:profile`: where the main thread of the daemon is, in microseconds of each reply, by V8's sampling profiler; for
 * what the targets of `npm run bench` are about.
 *
 *   npm run bench:profile -- [--seconds S] [--short] [--write]
 *
 * `--short`, for CI, shows only that it works. `--write` puts the tables into docs/benchmarks.md. What is sampled is time and not
 * CPU: where the kernel gives the processor to somebody else meanwhile, that is in it, most of it at the writes that wake them.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { caseOf } from './client.ts'
import type { Running } from './contender.ts'
import { type GatehouseOptions, gatehouse } from './contenders/gatehouse.ts'
import { lockOut } from './contenders/lock-out.ts'
import {
  type CallFrame,
  type CpuProfile,
  functionOf,
  monotonicUs,
  placeOf,
  readOnlyProfile,
  sharesOf,
  type Window,
} from './cpu-profile.ts'
import { type BenchDirectory, type BenchPerson, startDirectory } from './directory.ts'
import { writeBetween } from './marks.ts'
import { compileClients } from './native.ts'
import { mainThreadSeconds } from './usage.ts'

/** What people do, so many at once. */
interface Scene {
  readonly title: string
  readonly connections: number
  readonly people: readonly BenchPerson[]
  readonly expects: string
}

interface Profiled {
  readonly title: string
  readonly profile: CpuProfile
  readonly window: Window
  /** CPU of the main thread for each reply, in microseconds. */
  readonly mainUs: number
}

const PAGE = fileURLToPath(new URL('../docs/benchmarks.md', import.meta.url))
const MARKS = {
  begin: '<!-- profile: written by npm run bench:profile -- --write -->',
  end: '<!-- end of profile -->',
}
/** Of samples, in microseconds. */
const INTERVAL_US = 200
/** Who is locked out. */
const LOCKED = 50
/** A place that takes less in every scene gets no row, as a part of 1; and so many functions get one. */
const LEAST = 0.01
const FUNCTIONS = 12

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '10' },
    short: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
  },
})
// So long before what counts: compilers take that until they are done.
const [people, settleS, seconds] = values.short ? [500, 0.5, 0.5] : [10_000, 8, Number(values.seconds)]
if (!(seconds > 0)) throw new Error(`--seconds is how long, not ${values.seconds}`)

const root = await mkdtemp(join(tmpdir(), 'gatehouse-profile-'))
try {
  await compileClients(root)
  const directory = await startDirectory(root, people)
  try {
    const locked = directory.people.slice(-LOCKED)
    const free = directory.people.slice(0, -LOCKED)
    const right = { people: free, expects: '200' }
    const shipped = await record(directory, { name: 'as-shipped' }, locked, [
      { ...right, title: 'logged in, 16', connections: 16 },
      { ...right, title: 'logged in, 64', connections: 64 },
      { title: 'locked out, 64', connections: 64, people: locked, expects: '429' },
    ])
    const cached = await record(
      directory,
      { name: 'cached', backend: { entry_cache: '1h' } },
      [],
      [{ ...right, title: 'entry cache, 64', connections: 64 }],
    )
    const text = tables([...shipped, ...cached])
    process.stdout.write(`${text}\n`)
    if (values.write) await writeBetween(PAGE, MARKS, text)
  } finally {
    await directory.slapd.stop()
  }
} finally {
  await rm(root, { recursive: true, force: true })
}

/** One daemon, and all that is done with it. Its profile is there when it has ended. */
async function record(
  directory: BenchDirectory,
  options: Pick<GatehouseOptions, 'name' | 'backend'>,
  locked: readonly BenchPerson[],
  scenes: readonly Scene[],
): Promise<Profiled[]> {
  const profiles = join(root, `${options.name}-profiles`)
  const nodeArgs = ['--cpu-prof', `--cpu-prof-dir=${profiles}`, `--cpu-prof-interval=${INTERVAL_US}`]
  const contender = gatehouse({ ...options, remark: '', nodeArgs })
  const running = await contender.start(directory, join(root, options.name))
  const played: Omit<Profiled, 'profile'>[] = []
  try {
    if (locked.length > 0) await lockOut({ folder: root }, running, locked)
    for (const scene of scenes) played.push(await play(running, scene))
  } finally {
    await running.stop()
  }
  const profile = await readOnlyProfile(profiles)
  return played.map(each => ({ ...each, profile }))
}

/** @throws Error if somebody gets another answer than is right here */
async function play(
  running: Running,
  { title, connections, people, expects }: Scene,
): Promise<Omit<Profiled, 'profile'>> {
  const [pid = 0] = running.pids
  const requests = people.map(({ uid, password }) => running.request(uid, password))
  const durations = { warmUpS: settleS, seconds }
  const scene = await caseOf(root, running, requests, { name: title, connections, expects, ...durations })
  const now = () => ({ us: monotonicUs(), cpu: mainThreadSeconds(pid) })
  let [begun, ended] = [now(), now()]
  const { kinds } = await scene.run({
    onBegin: () => {
      begun = now()
    },
    onEnd: () => {
      ended = now()
    },
  })
  const { [expects]: replies = 0, ...others } = kinds
  if (replies === 0 || Object.keys(others).length > 0)
    throw new Error(`${title}: the replies were to be ${expects}: ${JSON.stringify(kinds)}`)
  const mainUs = ((ended.cpu - begun.cpu) / replies) * 1e6
  return { title, window: { from: begun.us, to: ended.us }, mainUs }
}

function tables(all: readonly Profiled[]): string {
  const places = by(all, placeOf)
  const shown = places.filter(({ most }) => most >= LEAST)
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  const head = (what: string) =>
    [line([what, ...all.map(({ title }) => title)]), line(['---', ...all.map(() => '---:')])].join('\n')
  const us = (share: number, at: number) => (share * (all[at]?.mainUs ?? Number.NaN)).toFixed(1)
  const rows = (counted: ReturnType<typeof by>) =>
    counted.map(({ key, shares }) => line([key, ...shares.map(us)])).join('\n')
  const rest = all.map((_, at) => us(1 - shown.reduce((sum, { shares }) => sum + (shares[at] ?? 0), 0), at))
  const sum = all.map(({ mainUs }) => mainUs.toFixed(0))
  return [
    'Microseconds of the main thread for each reply, profiler included.',
    `${head('where it is')}\n${rows(shown)}\n${line(['elsewhere', ...rest])}\n${line(['all', ...sum])}`,
    'The functions in JavaScript that take most:',
    `${head('function')}\n${rows(by(all, functionOf).slice(0, FUNCTIONS))}`,
  ].join('\n\n')
}

/** What takes most of any scene first, with its part in each. */
function by(all: readonly Profiled[], keyOf: (frame: CallFrame) => string | undefined) {
  const scenes = all.map(({ profile, window }) => sharesOf(profile, window, keyOf))
  const keys = new Set(scenes.flatMap(shares => [...shares.keys()]))
  return [...keys]
    .map(key => {
      const shares = scenes.map(scene => scene.get(key) ?? 0)
      return { key, shares, most: Math.max(...shares) }
    })
    .sort((one, other) => other.most - one.most)
}
