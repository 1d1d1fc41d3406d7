/** Rounds: in each one everybody is measured once, in an order of chance, and compared with what the same round gave the others. */

import type { Measured, Phases } from './native.ts'
import { cpuSeconds, mainThreadSeconds, residentMiB } from './usage.ts'

/** One line of a table: somebody doing something with so many connections. */
export interface Case {
  readonly name: string
  readonly connections: number
  /** Runs it once. */
  run(phases: Phases): Promise<Measured>
  /** The kind of reply that is right here; any other is a breakage. */
  readonly expects: string
  /** Processes whose CPU and memory are told; none for the ceilings. */
  readonly pids: readonly number[]
}

export interface Sample {
  /** Replies a second. */
  readonly rate: number
  /** Microseconds. */
  readonly p50: number
  readonly p99: number
  /** Microseconds of CPU a reply. */
  readonly cpuUs: number
  /** Of the thread that the first of its processes began with. */
  readonly mainUs: number
  readonly directoryCpuUs: number
  /** MiB at the end. */
  readonly rss: number
}

export interface Result {
  readonly case: Case
  /** One a round. */
  readonly samples: readonly Sample[]
  /** What was wrong with it; empty if nothing. */
  readonly broken: readonly string[]
}

export interface RoundsOptions {
  readonly rounds: number
  readonly directoryPid: () => number
  readonly say: (line: string) => void
}

const SEVERAL = 10

/** Never rejects for what a contender does: that is in `broken`. */
export async function runRounds(
  cases: readonly Case[],
  { rounds, directoryPid, say }: RoundsOptions,
): Promise<Result[]> {
  const results = cases.map(each => ({ case: each, samples: [] as Sample[], broken: [] as string[] }))
  for (let round = 1; round <= rounds; round++) {
    for (const result of shuffled(results)) {
      const { name, connections } = result.case
      try {
        const { sample, strange } = await measure(result.case, directoryPid())
        result.samples.push(sample)
        if (strange) result.broken.push(strange)
        say(
          `round ${round}: ${name}, ${connections}: ${sample.rate.toFixed(0)}/s, ${sample.cpuUs.toFixed(0)} us`,
        )
      } catch (error) {
        const what = error instanceof Error ? error.message : String(error)
        result.broken.push(what)
        say(`round ${round}: ${name}, ${connections}: broken: ${what}`)
      }
    }
  }
  return results
}

async function measure(
  one: Case,
  directory: number,
): Promise<{ sample: Sample; strange: string | undefined }> {
  const used = { own: [0, 0], main: [0, 0], directory: [0, 0] }
  const note = (at: 0 | 1) => {
    used.own[at] = cpuSeconds(one.pids)
    used.main[at] = mainThreadSeconds(one.pids[0] ?? 0)
    used.directory[at] = cpuSeconds([directory])
  }
  const { kinds, seconds, p50, p99, silent } = await one.run({ onBegin: () => note(0), onEnd: () => note(1) })
  const replies = Object.values(kinds).reduce((sum, count) => sum + count, 0)
  if (replies === 0) throw new Error('no reply came')
  const perReply = ([from = 0, to = 0]: number[]) => ((to - from) / replies) * 1e6
  // Where there was time for several replies on each connection, one without any stands still.
  const stuck = silent > 0 && replies > SEVERAL * one.connections
  const wrong = Object.entries(kinds).filter(([kind]) => kind !== one.expects)
  return {
    sample: {
      rate: replies / seconds,
      p50,
      p99,
      cpuUs: perReply(used.own),
      mainUs: perReply(used.main),
      directoryCpuUs: perReply(used.directory),
      rss: residentMiB(one.pids),
    },
    strange:
      wrong.length > 0
        ? `replies of another kind: ${JSON.stringify(kinds)}`
        : stuck
          ? `${silent} connections stood still`
          : undefined,
  }
}

function shuffled<T>(list: readonly T[]): T[] {
  return list
    .map(each => ({ each, by: Math.random() }))
    .sort((a, b) => a.by - b.by)
    .map(({ each }) => each)
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const [below = Number.NaN, above = below] = [
    sorted[Math.floor((sorted.length - 1) / 2)],
    sorted[Math.ceil((sorted.length - 1) / 2)],
  ]
  return (below + above) / 2
}

/** The median over the rounds of what one is of the other within the round. */
export function ratio(one: Result, other: Result): number {
  return median(one.samples.map(({ rate }, round) => rate / (other.samples[round]?.rate ?? Number.NaN)))
}
