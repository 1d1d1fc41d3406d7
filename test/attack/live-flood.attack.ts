/** A flood over HTTP against the memory of a daemon that may use little of it (lockout.md, Memory and eviction). */
import { corpPeople } from '../support/corp.ts'
import { LOCKOUT_SETTINGS } from '../support/lockout.ts'
import { corpBackend, startSlapd } from '../support/slapd.ts'
import { crowdedMs, ownMs, percentile, residentBytes } from '../support/vitals.ts'
import { openLiveDesk, openLiveTally, wrongAt } from './live-desk.ts'
import { ATTACKER, distantHop, distantSource, newMachine, OFFICE } from './people.ts'
import { playScene } from './scene.ts'

const { maxAttempts, unfamiliar } = LOCKOUT_SETTINGS
const { alice, bob } = corpPeople
const MIB = 1024 ** 2
const BUDGET_BYTES = Number(process.env.GATEHOUSE_ATTACK_MEMORY_MIB ?? 1) * MIB
/** What the process may take beside the budget: garbage that V8 has not collected yet, buffers of a thousand connections. */
const RSS_ALLOWANCE = 96 * MIB
/** As many as it takes to fill caches, compile code and open connections. */
const WARM_UP = 4_000
/** Attempts under way at the same time. */
const AT_ONCE = 64
/** Of nine in ten, and of all; what the machine takes is not counted. */
const LIVE_WITHIN_MS = [250, 1_000] as const

playScene('random names from thousands of addresses at a daemon with little memory', async stage => {
  const { t, chance, sources } = stage
  const slapd = await startSlapd(t)
  const desk = await openLiveDesk(t, {
    backend: corpBackend(slapd),
    config: { lockout: { memory: `${BUDGET_BYTES / MIB}MiB` } },
  })
  const pid = desk.daemon.process.pid ?? 0
  const owner = openLiveTally()
  await owner.count(desk.login('alice', alice.password, { from: OFFICE }))
  for (let guess = 0; guess < unfamiliar.maxAttempts; guess++) {
    t.equal((await desk.guess('alice', { from: newMachine(guess) })).status, 401, `guess ${guess + 1}`)
  }
  for (let guess = 1; guess < maxAttempts; guess++) await desk.guess('bob', { from: ATTACKER })
  const stranger = await desk.login('alice', alice.password, { from: newMachine(100) })
  t.match(stranger, { status: 429, code: 'locked_out' }, 'locked before')

  const answers = new Map<string, number>()
  const lives: number[] = []
  let mostBytes = 0
  let started = 0

  /** Names that nobody has, many at a time, until so many more were sent. */
  async function flood(attempts: number, beside: (done: number) => Promise<unknown>): Promise<void> {
    const until = started + attempts
    const stream = async () => {
      while (started < until) {
        const index = started++
        const from = index % 2 === 0 ? distantSource(index % sources) : distantHop(index % 65_536)
        const { status, code } = await desk.guess(`nobody-${index}-${chance.below(2 ** 31)}`, { from })
        const answer = `${status} ${code}`
        answers.set(answer, (answers.get(answer) ?? 0) + 1)
        if (index % 200 === 0) await beside(index)
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, stream))
  }

  await flood(WARM_UP, async () => {})
  const before = residentBytes(pid)
  await flood(Math.max(sources, WARM_UP), async index => {
    const crowded = crowdedMs()
    const asked = performance.now()
    const live = await fetch(`${desk.daemon.url}/livez`, { headers: { connection: 'close' } })
    await live.body?.cancel()
    t.equal(live.status, 200, 'it lives')
    lives.push(ownMs(performance.now() - asked, crowdedMs() - crowded))
    mostBytes = Math.max(mostBytes, await desk.metric(/^gatehouse_lockout_bytes (\S+)$/m))
    await owner.count(desk.login('alice', alice.password, { from: OFFICE }))
    await desk.guess('alice', { from: newMachine(200 + (index % 10_000)) })
  })
  const rssBytes = Math.max(0, residentBytes(pid) - before)
  t.comment(`${started} attempts: ${JSON.stringify([...answers])}`)
  t.comment(`/livez at most ${Math.max(...lives)} ms, RSS grew by ${rssBytes} from ${before}`)

  for (const [index, p] of [0.9, 1].entries()) {
    const ms = percentile(lives, p)
    t.ok(ms <= (LIVE_WITHIN_MS[index] ?? 0), `${100 * p} % of /livez within ${ms} ms`)
  }
  t.equal(await desk.metric(/^gatehouse_lockout_budget_bytes (\S+)$/m), BUDGET_BYTES)
  t.ok(mostBytes > 0, 'bytes are accounted for')
  const still = await desk.login('alice', alice.password, { from: newMachine(101) })
  t.match(still, { status: 429, code: 'locked_out' }, 'locked after')
  t.same(owner.told, [])
  t.equal((await desk.guess('bob', { from: ATTACKER })).status, 401, 'his four failures')
  const fifth = await desk.login('bob', bob.password, { from: ATTACKER })
  t.match(fifth, { status: 429, code: 'locked_out' }, 'were five with this one')

  const guesses = { verified: await wrongAt(slapd, alice.dn), bound: unfamiliar.maxAttempts }
  const most = { bytes: mostBytes, mostBytes: BUDGET_BYTES, what: 'accounted' } as const
  const took = { bytes: rssBytes, mostBytes: BUDGET_BYTES + RSS_ALLOWANCE, what: 'RSS' } as const
  return [
    { of: 'what is accounted for', guesses, logins: owner.row(0), memory: most },
    { of: 'what the process took', guesses, memory: took },
  ]
})
