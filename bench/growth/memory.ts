/** A million logins, and what they leave in memory. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runSlapd } from '../../test/support/slapd.ts'
import { startDaemon } from '../daemon.ts'
import { loginRequest } from '../login-request.ts'
import { residentMiB } from '../usage.ts'
import { groundLdif, passwordOf, personLdif, plainBackend } from './directory.ts'
import { addressOf, load } from './load.ts'
import { count, type Row, type Scope } from './row.ts'

const PEOPLE = 10_000
const CONNECTIONS = 64
/** Wrong passwords among the requests: one in so many. Each waits a quarter of a second for its answer. */
const WRONG_IN = 50
/** Who is guessed at, from somewhere else: a fifth guess locks the account there, and the owner logs in as ever. */
const GUESSED_AT = 200
/** On a machine that others keep busy a directory may be too late for its deadline; more than one in so many is a fault. */
const NO_VERDICT_IN = 10
/** MiB for 100,000 logins; over the last half of them less is flat. */
const FLAT = 1
/** V8's heap goes up and down by tens of MiB within seconds: what counts is the mean of many readings. In milliseconds. */
const READ_EVERY_MS = 100

interface Sample {
  /** How many there had been in the middle of it. */
  readonly logins: number
  /** MiB, the mean of what was read. */
  readonly rss: number
}

/** GATEHOUSE_GROWTH_LOGINS: how many there are, a million unless said; 20,000 in the short form. */
export async function memory(scope: Scope): Promise<readonly Row[]> {
  const logins = scope.short ? 20_000 : Number(process.env.GATEHOUSE_GROWTH_LOGINS ?? 1_000_000)
  const every = Math.max(2_000, Math.min(50_000, logins / 20))
  const ldif = join(scope.folder, 'people.ldif')
  const uids = Array.from({ length: scope.short ? 1_000 : PEOPLE }, (_, index) => `user${index}`)
  await writeFile(ldif, [groundLdif(), ...uids.map(uid => personLdif(uid))].join('\n'))
  const directory = join(scope.folder, 'slapd')
  const slapd = await runSlapd({ directory, ldif, logs: 'none', maxSize: 2 ** 28 })
  const folder = join(scope.folder, 'daemon')
  const daemon = await startDaemon({ folder, backends: [plainBackend(slapd)] })
  const { address, pid } = daemon
  const { clients } = scope
  const samples: Sample[] = []
  const rows: Row[] = []
  try {
    let done = 0
    let slice = 0
    let toldAt = 0
    let lately: number[] = []
    let kinds: Record<string, number> = {}
    while (done < logins) {
      const readings = readEvery(READ_EVERY_MS, () => residentMiB([pid]))
      const measured = await load(
        {
          clients,
          folder: scope.folder,
          address,
          pid,
          connections: CONNECTIONS,
          warmUp: 0,
          seconds: scope.short ? 1 : 10,
          requests: requestsOf(uids, slice++),
        },
        ['200', '401', '429', '503'],
      ).finally(readings.stop)
      const mean = meanOf(readings.values)
      samples.push({ logins: done + measured.replies / 2, rss: mean })
      lately.push(mean)
      done += measured.replies
      const noVerdict = measured.kinds['503'] ?? 0
      if (noVerdict * NO_VERDICT_IN > measured.replies) throw new Error(`${noVerdict} logins got no verdict`)
      for (const [kind, times] of Object.entries(measured.kinds)) kinds[kind] = (kinds[kind] ?? 0) + times
      if (done - toldAt < every && done < logins) continue
      toldAt = done
      const rss = meanOf(lately)
      scope.say(`${count(done)} logins, ${rss.toFixed(1)} MiB`)
      rows.push({
        question: 'Memory',
        size: count(done),
        figures: [
          { name: 'RSS, mean', value: rss, unit: 'MiB' },
          { name: 'accepted', value: kinds['200'] ?? 0, unit: '' },
          { name: 'refused', value: kinds['401'] ?? 0, unit: '' },
          { name: 'locked out', value: kinds['429'] ?? 0, unit: '' },
          { name: 'no verdict', value: kinds['503'] ?? 0, unit: '' },
          { name: 'CPU of the daemon a login', value: measured.cpuMicros, unit: 'µs' },
        ],
      })
      kinds = {}
      lately = []
    }
  } finally {
    await daemon.stop('SIGKILL')
    await slapd.stop('SIGKILL')
  }
  const slope = slopeOf(samples.slice(samples.length >> 1))
  // In the short form nothing is warm yet: it shows that nobody is refused who should not be.
  const verdict = scope.short ? 'too short to tell' : slope < FLAT ? 'flat' : 'it grows'
  if (!scope.short && slope >= FLAT) scope.complain(`RSS grows by ${slope.toFixed(2)} MiB for 100,000 logins`)
  return [
    ...rows,
    {
      question: 'Memory over the last half',
      size: verdict,
      figures: [{ name: 'for 100,000 logins', value: slope, unit: 'MiB' }],
    },
  ]
}

function requestsOf(uids: readonly string[], slice: number): Buffer[] {
  return Array.from({ length: uids.length * 3 }, (_, index) => {
    if (index % WRONG_IN !== WRONG_IN - 1) {
      // Each slice begins with others, or those at the end would never have their turn.
      const person = (index + slice * 4_999) % uids.length
      const username = uids[person] ?? ''
      return loginRequest(username, passwordOf(username), addressOf(person))
    }
    const guessed = Math.floor(index / WRONG_IN) % GUESSED_AT
    const username = uids[guessed * 4] ?? ''
    return loginRequest(username, `wrong ${slice} ${index}`, addressOf(2 ** 20 + guessed * 256))
  })
}

/** Reads now, and then every so many milliseconds until it is stopped. */
function readEvery(ms: number, read: () => number): { readonly values: readonly number[]; stop(): void } {
  const values = [read()]
  const timer = setInterval(() => values.push(read()), ms)
  return { values, stop: () => clearInterval(timer) }
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/** Least squares, in MiB for 100,000 logins. */
function slopeOf(samples: readonly Sample[]): number {
  const mean = (of: (sample: Sample) => number) => meanOf(samples.map(of))
  const [x, y] = [mean(({ logins }) => logins), mean(({ rss }) => rss)]
  const spread = mean(({ logins }) => (logins - x) ** 2)
  if (spread === 0) return 0
  return (mean(({ logins, rss }) => (logins - x) * (rss - y)) / spread) * 100_000
}
