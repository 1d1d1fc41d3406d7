import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Test } from 'tap'
import { openDescriptors, ownMs, peakBytes, percentile, residentBytes } from '../support/vitals.ts'
import { readTrail, VERDICTS } from './audit-desk.ts'
import { type Attempt, LOCAL, openScene, type Person, POOL, type Scene } from './harness.ts'

/** What holds in every fault test, whatever the fault. */

export interface Expectations {
  /** Must be able to log in within two seconds (I5), though more attempts than the lockout allows were made (I4). */
  readonly people: readonly Person[]
  /** Attempts that were answered 429, where the test is about real failures, too. */
  readonly lockedOut?: number
  /** The process is kept from its processor or its descriptors: nothing is said then about how fast it is. */
  readonly starved?: boolean
  /** The configuration itself holds the service account's password. */
  readonly secretsInConfig?: boolean
  /** Promises that the scene itself makes somebody let go of. */
  readonly slips?: number
}

const LATE_MS = 100
/** For the other backends of a chain, and the way to the caller and back. */
const REST_MS = 1_400
const RECOVERY_MS = 2_000
const LOOP_P99_MS = 100
/** Percentiles of local logins, and how much more than a fifth they may rise, in milliseconds. */
const PACE = [
  [0.5, 20],
  [0.95, 50],
] as const
const MEBIBYTE = 1024 * 1024
/** More than the baseline, at any moment. */
const PEAK_BYTES = 128 * MEBIBYTE

/** I1–I11 of a scene whose fault is over. */
export async function holdInvariants(t: Test, scene: Scene, expected: Expectations): Promise<void> {
  await holdVerdicts(t, scene, expected)
  await holdResources(t, scene)
  if (!expected.starved) await holdPace(t, scene)
  const told = scene.everything() + (await scene.metrics()) + filesOf(scene, expected.secretsInConfig)
  for (const secret of [scene.canary, LOCAL.password, '-secret-1']) {
    t.notOk(told.includes(secret), 'I10: no password is anywhere')
  }
}

/** I1–I5 */
async function holdVerdicts(t: Test, scene: Scene, expected: Expectations): Promise<void> {
  const { attempts, daemon } = scene

  for (const person of expected.people) {
    const ms = await scene.recovery(person)
    t.ok(ms < RECOVERY_MS, `I5: ${person.uid} logs in ${Math.round(ms)} ms after the fault`)
  }

  const accepted = attempts.filter(({ right, status }) => !right && status === 200)
  t.strictSame(accepted, [], 'I1: no wrong password is accepted')

  await holdAudit(t, scene)

  t.equal(daemon.process.exitCode ?? daemon.process.signalCode, null, 'I3: the process lives')
  t.strictSame(countOf(attempts, 500), 0, 'I3: no answer is a mistake of ours')
  // What went unhandled is told in the log (serve.ts); what nobody could tell any more, outside of it.
  const slips = daemon.lines.filter(({ event }) => event === 'sys_crash')
  t.equal(slips.length, expected.slips ?? 0, `I3: nothing went unhandled ${JSON.stringify(slips)}`)
  t.notMatch(daemon.stderr(), /uncaught|unhandled|Error:/i, 'I3: and nothing ended in a stack trace')

  t.equal(countOf(attempts, 429), expected.lockedOut ?? 0, 'I4: nobody is locked out by a fault')
}

/** I7 and I8 */
async function holdResources(t: Test, scene: Scene): Promise<void> {
  const { daemon, baseline } = scene
  const rss = residentBytes(daemon.process.pid ?? 0)
  const ceiling = Math.max(baseline.rssBytes * 1.1, baseline.rssBytes + 64 * MEBIBYTE)
  t.ok(rss <= ceiling, `I7: ${mebibytes(baseline.rssBytes)} MiB before, ${mebibytes(rss)} after`)

  // Two logins that hash at once take 40 MiB of it.
  const peak = peakBytes(daemon.process.pid ?? 0)
  t.ok(
    peak <= baseline.rssBytes + PEAK_BYTES,
    `I7: and no more than ${mebibytes(peak)} MiB since the fault began`,
  )

  const descriptors = await settledDescriptors(scene)
  const most = baseline.descriptors + POOL.search + POOL.bind
  t.ok(descriptors <= most, `I8: ${baseline.descriptors} descriptors before, ${descriptors} after`)
}

/** I6, I9 and I11 */
async function holdPace(t: Test, scene: Scene): Promise<void> {
  const faulted = scene.attempts.filter(attempt => attempt.faulted)
  holdDeadlines(
    t,
    scene,
    faulted.filter(({ name }) => name !== LOCAL.uid),
  )

  const others = faulted.filter(({ name }) => name === LOCAL.uid)
  const crowded = percentile(
    others.map(attempt => attempt.crowdedMs),
    0.99,
  )
  const loop = Math.round(ownMs(scene.duringFault.loopP99Ms, crowded))
  t.ok(loop < LOOP_P99_MS, `I9: loop delay p99 ${loop} ms`)

  // A p99 needs hundreds of logins, and a scene has time for twenty: of those the slowest is an accident. So it is p95, and the
  // median, which a fault that is felt by all moves first. Both leave room for what is left of a busy machine in 10 to 20 ms.
  const during = paceOf(scene, others)
  const before = [paceOf(scene, scene.localBefore)]
  const limits = () =>
    PACE.map(([p, leeway]) => Math.max(...before.map(each => percentile(each, p))) * 1.2 + leeway)
  const holds = () => PACE.every(([p], index) => percentile(during, p) <= (limits()[index] ?? 0))
  // The machine may have become busier meanwhile. Then a daemon without any trouble is slower now, too.
  for (let again = 1; again <= 3 && !holds(); again++) {
    t.comment(`I11: measured again without the fault, time ${again}`)
    before.push(await paceWithoutFault(t))
  }
  for (const [index, [p]] of PACE.entries()) {
    const figures = before.map(each => percentile(each, p).toFixed(1)).join(', ')
    const is = percentile(during, p)
    t.ok(
      is <= (limits()[index] ?? 0),
      `I11: local logins p${p * 100} ${figures} ms without, ${is.toFixed(1)} during`,
    )
  }
  t.ok(
    others.length > 0 && others.every(({ status }) => status === 200),
    'I11: and every one of them is let in',
  )
}

/** How long each of these took, in milliseconds, as the daemon says, less what the machine was too busy for. */
function paceOf(scene: Scene, attempts: readonly Attempt[]): number[] {
  const durations = scene.durations()
  return attempts.map(({ requestId, crowdedMs }) => ownMs(durations.get(requestId) ?? Number.NaN, crowdedMs))
}

async function paceWithoutFault(t: Test): Promise<number[]> {
  const corp = { urls: ['ldap://127.0.0.1:1'], insecure: true }
  const control = await openScene(t, { corp, well: false })
  await control.settled()
  const pace = paceOf(control, control.localBefore)
  await control.daemon.stop()
  return pace
}

/** I6: as the daemon measures it at the directory, and as the caller does, whose answer takes the rest of the chain, too. */
function holdDeadlines(t: Test, scene: Scene, asked: readonly Attempt[]): void {
  const { deadlineMs } = scene
  const atCorp = scene.durations('corp')
  // Who is locked out is turned away before; all others must have been asked about.
  const tookAtCorp = ({ requestId, status }: Attempt) =>
    atCorp.get(requestId) ?? (status === 429 ? 0 : Number.NaN)
  // On a crowded machine timers are late, but never by half a deadline.
  const allowed = ({ crowdedMs }: Attempt) => deadlineMs + LATE_MS + Math.min(crowdedMs, deadlineMs / 2)
  const tooLate = asked.filter(attempt => {
    const limit = allowed(attempt)
    return !(tookAtCorp(attempt) <= limit && attempt.ms <= limit + REST_MS)
  })
  const slowest = Math.round(percentile(asked.map(tookAtCorp), 1))
  t.ok(
    asked.some(({ requestId }) => atCorp.has(requestId)),
    'I6: the directory was asked',
  )
  t.strictSame(tooLate, [], `I6: ${asked.length} answers within ${deadlineMs} ms, the slowest in ${slowest}`)
}

/** I2: every answer has its one line in the log and its one row in the audit trail, and every line and row its request. */
async function holdAudit(t: Test, { attempts, daemon, cwd }: Scene): Promise<void> {
  const asked = attempts.map(({ requestId }) => requestId).sort()
  const told = () =>
    daemon.lines
      .filter(({ verdict, request_id }) => verdict !== undefined && request_id !== undefined)
      .map(({ request_id }) => String(request_id))
      .sort()
  for (const until = performance.now() + 3_000; told().length < asked.length; ) {
    if (performance.now() > until) break
    await pause(20)
  }
  t.equal(asked.join(), told().join(), `I2: ${asked.length} verdicts, each with its one line`)
  const trail = readTrail(join(cwd, 'data/gatehouse-audit.db'))
  t.match(trail.proof, { intact: true }, 'I2: the audit trail is intact')
  const wrong = attempts.filter(({ requestId, status }) => {
    const rows = trail.attempts.get(requestId) ?? []
    return rows.length !== 1 || !VERDICTS[status]?.includes(rows[0]?.verdict ?? '')
  })
  t.same(wrong, [], 'I2: each verdict has its one row')
  t.equal(trail.attempts.size, attempts.length, 'I2: and each row its request')
}

/** I8: what idles is let go of; ten seconds are for that. */
async function settledDescriptors(scene: Scene): Promise<number> {
  const pid = scene.daemon.process.pid ?? 0
  const most = scene.baseline.descriptors + POOL.search + POOL.bind
  for (const until = performance.now() + 10_000; performance.now() < until; ) {
    if (openDescriptors(pid) <= most) break
    await pause(100)
  }
  return openDescriptors(pid)
}

/** What the daemon wrote, beside the files that hold the service account's password. */
function filesOf({ cwd }: Scene, secretsInConfig = false): string {
  const known = secretsInConfig ? /service-password|gatehouse\.yaml/ : /service-password/
  return readdirSync(cwd, { recursive: true, encoding: 'utf8' })
    .filter(file => !known.test(file) && statSync(join(cwd, file)).isFile())
    .map(file => readFileSync(join(cwd, file), 'latin1'))
    .join('\n')
}

export const countOf = (attempts: readonly Attempt[], status: number) =>
  attempts.filter(attempt => attempt.status === status).length

const mebibytes = (bytes: number) => Math.round(bytes / MEBIBYTE)
