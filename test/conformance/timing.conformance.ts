/** When failures are answered: the lines on delays and on what a stopwatch sees. The whole measurement is `npm run test:timing`. */
import t from 'tap'
import { corpBackend, startSlapd } from '../support/slapd.ts'
import { compare, type Guess } from '../timing/scene.ts'
import { holm } from '../timing/statistics.ts'
import { EMAIL, type House, LOCAL, openHouse, type Reply } from './house.ts'
import { conforms, differs } from './suite.ts'

const slapd = await startSlapd(t)
const CORP = corpBackend(slapd)
const timed = async (ask: () => Promise<Reply>) => {
  const startedAt = performance.now()
  return { ...(await ask()), ms: performance.now() - startedAt }
}
/** Resolves when so many replies wait. */
async function held(house: House, count: number): Promise<void> {
  while (!(await house.metrics()).includes(`gatehouse_held_replies ${count}\n`));
}

differs(
  'V22',
  'no app may skip the delay: only operators who have an attempt explained are answered at once',
  async t => {
    const house = await openHouse(t, { backends: [CORP, LOCAL], timing: { floor: '400ms', jitter: '1ms' } })
    const failed = await timed(() => house.login('nobody', 'wrong'))
    t.match(failed, { status: 401 })
    t.ok(failed.ms >= 400, `delayed: ${failed.ms} ms`)

    const order: number[] = []
    const crowd = Array.from({ length: 30 }, (_, i) => i)
    await Promise.all(
      crowd.map(async i => {
        await house.login(`nobody-${i}`, 'wrong', { from: `192.0.2.${i + 10}` })
        order.push(i)
      }),
    )
    t.strictSame(
      order.toSorted((a, b) => a - b),
      crowd,
    )
    t.notSame(order, crowd, 'shuffled')

    const explained = await house.command(['explain', 'nobody', '--password-stdin', '--json'], 'wrong')
    t.match(JSON.parse(explained.stdout), { verdict: 'rejected' })

    const flushed = timed(() => house.login('nobody-again', 'wrong', { from: '198.51.100.1' }))
    await held(house, 1)
    await house.restart()
    t.match(await flushed, { status: 401 }, 'flushed by the shutdown')

    const patient = await openHouse(t, { backends: [CORP], timing: { floor: '3s' } })
    await slapd.stop('SIGKILL')
    const out = await timed(() => patient.login('nobody', 'wrong'))
    await slapd.start()
    t.match(out, { status: 503 })
    t.ok(out.ms < 3_000, `an outage is told at once: ${out.ms} ms`)
  },
)

conforms('X15', async t => {
  const rows = []
  for (const backends of [[LOCAL], [CORP, EMAIL, LOCAL], [LOCAL, CORP]]) {
    const house = await openHouse(t, { backends, timing: {}, lockout: { mode: 'off' } })
    let guesses = 0
    const guess = (username: string) => () => ({ username, password: `wrong ${++guesses}` })
    const known: Readonly<Record<string, Guess>> = backends.includes(CORP)
      ? { 'wrong in the directory': guess('alice') }
      : {}
    const kinds = { unknown: guess('nobody'), 'wrong, local': guess(house.admin.username), ...known }
    const order = backends.map(backend => ('id' in backend ? backend.id : '')).join(', ')
    const { url, headers } = house
    rows.push(...(await compare(t, { order, url, headers, kinds, right: () => house.admin, samples: 100 })))
  }
  const failures = rows.filter(({ control }) => !control)
  const rejected = holm(
    failures.map(({ p }) => p),
    0.001,
  )
  for (const [i, { order, kind, p }] of failures.entries()) t.notOk(rejected[i], `${order}: ${kind}: ${p}`)
  for (const { control, p } of rows) if (control) t.ok(p < 1e-6, 'a success is told apart')
})

conforms('X22', async t => {
  const house = await openHouse(t, { backends: [LOCAL], timing: { floor: '3s', jitter: '1ms' } })
  const waiting = ['a', 'b', 'c'].map(name => timed(() => house.login(name, 'wrong')))
  await held(house, 3)
  await house.restart()
  for (const reply of await Promise.all(waiting)) {
    t.match(reply, { status: 401, code: 'invalid_credentials' }, 'everybody is answered')
    t.ok(reply.ms < 3_000, 'before their time')
  }
  t.equal(house.attempts().length, 3, 'and was counted')
})
