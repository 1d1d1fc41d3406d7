import t from 'tap'
import type { Charge } from '../../src/authentication/lockout.ts'
import { createSprayWatch, type SprayKind } from '../../src/observe/spray-watch.ts'
import { setUpLockout } from '../support/lockout.ts'
import { createLogRecorder } from '../support/log-recorder.ts'

const WRONG: Charge = { name: true, subjects: [], source: true }
const NOBODY: Charge = { name: false, subjects: [], source: false }

function setUp() {
  const { lockout, clock } = setUpLockout()
  const log = createLogRecorder()
  const told: SprayKind[] = []
  const watched = createSprayWatch({ clock, log, onSpray: by => told.push(by) })(lockout)
  async function attempt(name: string, address: string, passwordTag: number, charge = WRONG) {
    const reservation = await watched.reserve({
      name,
      address,
      caller: 'wiki',
      passwordTag: () => passwordTag,
    })
    if (reservation.admitted) await reservation.lease.commit(charge)
    return reservation.admitted
  }
  return { clock, log, told, watched, attempt }
}

const address = (n: number) => `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`

t.test('one source that fails on ten accounts is told once in its window (S55)', async t => {
  const { told, log, attempt, clock } = setUp()
  for (let n = 0; n < 9; n++) await attempt(`user${n}`, '203.0.113.66', n)
  await attempt('user0', '203.0.113.66', 900)
  t.same(told, [], 'an account again is no other account')
  for (let n = 9; n < 15; n++) await attempt(`user${n}`, '203.0.113.66', n)
  t.same(told, ['source'])
  t.match(log.lines, [
    {
      level: 'warn',
      fields: {
        event: 'authn_password_spray',
        by: 'source',
        source: '203.0.113.66',
        client: 'wiki',
        accounts: 10,
      },
    },
  ])
  clock.advance(15 * 60_000)
  for (let n = 20; n < 30; n++) await attempt(`user${n}`, '203.0.113.66', n)
  t.same(told, ['source', 'source'], 'and again in the next one')
})

t.test(
  'one password on ten accounts, each from elsewhere, is told without the password or its tag',
  async t => {
    const { told, log, attempt } = setUp()
    for (let n = 0; n < 12; n++) await attempt(`user${n}`, address(n * 300), 4711)
    t.same(told, ['password'])
    t.match(log.lines[0]?.fields, { by: 'password', accounts: 10, last_source: String })
    t.notMatch(log.text(), /4711|user\d/)
  },
)

t.test('one account under guessing, and different passwords from many places, are no spray', async t => {
  const { told, attempt } = setUp()
  for (let n = 0; n < 50; n++) await attempt('alice', '203.0.113.66', n)
  for (let n = 0; n < 500; n++) await attempt(`user${n}`, address(n * 300), n)
  t.same(told, [])
})

t.test('attempts that succeed, or that charge nobody, are not counted', async t => {
  const { told, attempt } = setUp()
  for (let n = 0; n < 15; n++) {
    await attempt(`user${n}`, '203.0.113.66', 1, { ...NOBODY, accepted: `local:${n}` })
    await attempt(`outage${n}`, '203.0.113.66', 1, NOBODY)
  }
  t.same(told, [])
})

t.test('who is locked out already and goes on is seen', async t => {
  const { told, attempt } = setUp()
  // One source is locked by its 20th account; the password is new from then on.
  for (let n = 0; n < 20; n++) await attempt(`user${n}`, '203.0.113.66', n)
  const admitted = []
  for (let n = 20; n < 30; n++) admitted.push(await attempt(`user${n}`, '203.0.113.66', 4711))
  t.notOk(admitted.some(Boolean), 'it is locked')
  t.same(told, ['source', 'password'])
})

t.test('the lockout behind it is as it was', async t => {
  const { watched, attempt } = setUp()
  for (let n = 0; n < 5; n++) t.ok(await attempt('alice', '203.0.113.66', n))
  t.notOk(await attempt('alice', '203.0.113.66', 9), 'locked')
  t.equal((await watched.desk.list(10)).length, 1)
  t.match(await watched.inspect({ name: 'alice', address: '203.0.113.66' }), {
    name: [{ lockedForMs: Number }],
  })
})

t.test('a flood of sources takes bounded memory: the one that was silent longest is forgotten', async t => {
  const { attempt, told } = setUp()
  const nine = async () => {
    for (let n = 0; n < 9; n++) await attempt(`user${n}`, '203.0.113.66', n)
  }
  await nine()
  for (let n = 0; n < 4_096; n++) await attempt('alice', address(n), 5_000 + n)
  await attempt('user9', '203.0.113.66', 9)
  t.same(told, [], 'begun afresh')
  await nine()
  t.same(told, ['source'])
})
