/** F22: somebody sets the clock of the machine, or it was asleep. Only the wall clock moves: time itself goes on as it does. */
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { corpPeople } from '../support/corp.ts'
import { provideFakeWall } from '../support/faketime.ts'
import { startSlapd } from '../support/slapd.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { attemptsOf, newFolder, openScene } from './harness.ts'
import { countOf, holdInvariants } from './invariants.ts'

const { alice, bob, carol } = corpPeople
const slapd = await startSlapd(t)
const HOUR_MS = 3_600_000
/** Longer than any certificate of the tests is valid. */
const TWO_YEARS_MS = 2 * 365 * 24 * HOUR_MS
const LOCK_MS = 6_000

t.test('F22 a wall clock that jumps by an hour, either way, opens no lock and keeps none shut', async t => {
  const wall = await provideFakeWall(newFolder())
  const scene = await openScene(t, {
    corp: { urls: [slapd.ldapsUrl], tls: { ca_file: slapd.caFile } },
    config: { lockout: { max_attempts: 3, window: '1m', duration: `${LOCK_MS}ms` } },
    env: wall.env,
  })
  let lockedOut = 0
  await scene.fault(async () => {
    for (const [person, first, second] of [
      [alice, HOUR_MS, -HOUR_MS],
      [bob, -HOUR_MS, HOUR_MS],
      [carol, 2 * 24 * HOUR_MS, -2 * 24 * HOUR_MS],
    ] as const) {
      wall.shift(0)
      await pause(1_100)
      for (let guess = 1; guess <= 2; guess++) t.match(await scene.login(person, 'wrong'), { status: 401 })
      // The window goes on, wherever the clock stands: the third guess is the third.
      wall.shift(first)
      await pause(1_100)
      t.match(await scene.login(person, 'wrong'), { status: 401 })
      const lockedAt = performance.now()
      for (const shift of [first, second, 0, second]) {
        wall.shift(shift)
        await pause(1_100)
        // The lock is asked about while it must still be shut, whenever the answer comes.
        if (performance.now() - lockedAt > LOCK_MS - 400) break
        const { status, retryAfter } = await scene.login(person)
        t.equal(status, 429, 'no lock opens early')
        t.ok(Number(retryAfter) <= LOCK_MS / 1_000, 'nor is it longer')
        lockedOut++
      }
      await pause(Math.max(0, lockedAt + LOCK_MS + 200 - performance.now()))
      t.match(await scene.login(person), { status: 200 }, 'no lock is for ever')
    }
  })
  t.ok(lockedOut >= 9, `${lockedOut} looks at a lock`)
  await holdInvariants(t, scene, { people: [alice, bob, carol], lockedOut })
})

t.test('F22 certificates are judged by the wall clock: what has expired there is refused', async t => {
  const wall = await provideFakeWall(newFolder())
  const proxy = await startTcpProxy(t, { port: slapd.ldapsPort })
  const scene = await openScene(t, {
    corp: { urls: [`ldaps://localhost:${proxy.port}`], tls: { ca_file: slapd.caFile } },
    env: wall.env,
  })
  /** The daemon looks at its clock again within a second or two; its log says when. */
  async function shiftTo(milliseconds: number): Promise<void> {
    wall.shift(milliseconds)
    const aside = ({ time }: Record<string, unknown>) => Date.parse(String(time)) - Date.now() - milliseconds
    do {
      await scene.localLogin()
      await scene.settled()
    } while (Math.abs(aside(scene.daemon.lines.at(-1) ?? {})) > HOUR_MS)
  }
  await scene.fault(
    async () => {
      for (const [shift, reason] of [
        [TWO_YEARS_MS, /expired/],
        [-TWO_YEARS_MS, /not valid before/],
      ] as const) {
        await shiftTo(shift)
        proxy.cut('rst')
        await pause(100)
        const made = await attemptsOf(scene, alice)
        t.equal(countOf(made, 503), made.length)
        // What the log says is what was seen when the server was last tried, which is within a second.
        let told = ''
        for (const until = performance.now() + 3_000; !reason.test(told) && performance.now() < until; ) {
          const again = await scene.login(alice)
          await scene.settled()
          told = scene.tale([again])
          await pause(100)
        }
        t.match(told, reason)
      }
    },
    () => shiftTo(0),
  )
  await holdInvariants(t, scene, { people: [alice, bob] })
})
