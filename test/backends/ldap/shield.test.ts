/** The shield against a real domain: whatever is guessed here, nobody is locked out of Windows. */
import t from 'tap'
import type { Attempt } from '../../../src/authentication/backend.ts'
import type { Ceiling } from '../../../src/authentication/lockout.ts'
import type { Outcome } from '../../../src/authentication/outcome.ts'
import { Secret } from '../../../src/authentication/secret.ts'
import type { LdapOptions } from '../../../src/backends/ldap/options.ts'
import { createFakeClock } from '../../support/fake-clock.ts'
import { startSamba } from '../../support/samba.ts'
import { patientThreshold, type SambaPerson, sambaDomain, sambaPeople } from '../../support/samba-people.ts'
import { type Desk, ldapOptions, openDesk, tlsOptions } from './ldap-login.ts'

const { alice, bob, carol, dave, patient } = sambaPeople
const samba = await startSamba(t)
const { accounts, baseDn } = samba
const WINDOW_MS = 30 * 60_000

function shielded(changes: Partial<LdapOptions> = {}): LdapOptions {
  return ldapOptions({
    preset: 'active-directory',
    urls: [samba.ldapsUrl],
    tls: tlsOptions({ ca_file: samba.caFile }),
    bind: { method: 'simple', dn: samba.serviceDn, password: new Secret(samba.servicePassword) },
    base_dn: baseDn,
    ...changes,
  })
}

/** With a service account that may see everything. */
function seeingAll(changes: Partial<LdapOptions> = {}): LdapOptions {
  const { dn, password } = sambaDomain.administrator
  return shielded({ bind: { method: 'simple', dn, password: new Secret(password) }, ...changes })
}

/** What the domain controller answered to binds for this person while `work` ran. */
async function bindsDuring({ sam }: SambaPerson, work: () => Promise<unknown>): Promise<string[]> {
  const before = (await samba.authentications()).length
  await work()
  const seen = (await samba.authentications()).slice(before)
  return seen.filter(({ account }) => account === sam).map(({ status }) => status.replace('NT_STATUS_', ''))
}

async function countOf({ dn }: SambaPerson): Promise<number> {
  return Number((await accounts.read(dn, 'badPwdCount'))[0])
}

async function isLocked({ dn }: SambaPerson): Promise<boolean> {
  const [time = '0'] = await accounts.read(dn, 'lockoutTime')
  return time !== '0'
}

const setThreshold = (threshold: number) => accounts.set(baseDn, 'lockoutThreshold', String(threshold))

/** Wrong passwords, each another, all at once. */
function guessesAtOnce(desk: Desk, { sam }: SambaPerson, times: number): Promise<Outcome[]> {
  return Promise.all(Array.from({ length: times }, (_, guess) => desk.login(sam, `guess ${guess}`)))
}

/** How often each outcome came. */
function tally(outcomes: readonly Outcome[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const outcome of outcomes) {
    const name = outcome.outcome === 'account_state' ? outcome.state : outcome.outcome
    counts[name] = (counts[name] ?? 0) + 1
  }
  return counts
}

const WRONG = 'WRONG_PASSWORD'

for (const [threshold, person] of [
  [2, alice],
  [3, bob],
  [5, carol],
] as const) {
  t.test(`50 wrong passwords at once do not lock an account that ${threshold} would lock`, async t => {
    await setThreshold(threshold)
    const desk = await openDesk(t, shielded())
    let outcomes: Outcome[] = []
    const binds = await bindsDuring(person, async () => {
      outcomes = await guessesAtOnce(desk, person, 50)
    })
    t.same(binds, Array(threshold - 1).fill(WRONG))
    t.same(tally(outcomes), { wrong_password: threshold - 1, locked: 51 - threshold })
    t.equal(await countOf(person), threshold - 1)
    t.notOk(await isLocked(person))

    t.match(
      await desk.login(person.sam, person.password),
      { outcome: 'account_state', state: 'locked', passwordVerified: false },
      'nor is the right one sent: nothing says that it is right',
    )
    await accounts.unlock(person.dn)
    t.match(await desk.login(person.sam, person.password), { outcome: 'accept' })
    t.equal(await countOf(person), 0)
  })
}

t.test('what was typed wrong elsewhere counts: not one bind more where the next would lock', async t => {
  await setThreshold(3)
  const desk = await openDesk(t, shielded())
  await accounts.guess(dave.dn, 2)
  const notes: string[] = []
  const note: Attempt['note'] = ({ what, value }) => void notes.push(`${what}: ${value}`)
  const binds = await bindsDuring(dave, async () => {
    for (const password of ['another', dave.password]) {
      t.match(await desk.login('dave', password, { note }), {
        outcome: 'account_state',
        state: 'locked',
        passwordVerified: false,
      })
    }
  })
  t.same(binds, [])
  t.equal(await countOf(dave), 2)
  t.match(notes.filter(line => /^(bind|directory)/.test(line)).slice(0, 2), [
    'directory lockout: after 3 wrong passwords, by the domain; 2 counted there now',
    'bind: not sent: one more wrong password would lock the account in the directory',
  ])
  t.match(
    desk.log.at('warn').filter(({ message }) => message.startsWith('not sent')),
    [{ fields: { dn: dave.dn, shown: 2, threshold: 3, by: 'the domain' } }, {}],
  )
  await accounts.unlock(dave.dn)
  t.match(await desk.login('dave', dave.password), { outcome: 'accept' })
})

t.test('a count whose time is over does not count', async t => {
  const clock = createFakeClock(Date.now())
  const desk = await openDesk(t, shielded(), clock)
  await accounts.guess(dave.dn, 2)
  clock.jumpWall(WINDOW_MS + 4 * 60_000)
  t.match(await desk.login('dave', dave.password), { state: 'locked' }, 'the clocks may differ by minutes')
  clock.jumpWall(2 * 60_000)
  t.match(await desk.login('dave', dave.password), { outcome: 'accept' })
})

t.test('many right passwords at once are all right, however few wrong ones the domain bears', async t => {
  await setThreshold(2)
  const desk = await openDesk(t, shielded())
  const outcomes = await Promise.all(Array.from({ length: 30 }, () => desk.login('dave', dave.password)))
  t.same(tally(outcomes), { accept: 30 })
  await setThreshold(3)
})

t.test(
  'the same wrong password is not sent again before the directory has forgotten it; another or the right one is at once',
  async t => {
    const clock = createFakeClock(Date.now())
    const desk = await openDesk(t, shielded(), clock)
    const asked: (Ceiling | undefined)[] = []
    const mayVerify: Attempt['mayVerify'] = async (_, ceiling) => {
      asked.push(ceiling)
      return true
    }
    const binds = await bindsDuring(dave, async () => {
      for (let times = 1; times <= 20; times += 1) {
        t.match(await desk.login('dave', 'an old one', { mayVerify }), {
          outcome: 'wrong_password',
          subject: /-/,
        })
      }
      t.match(await desk.login('DAVE', 'an old one'), { outcome: 'wrong_password' }, 'by any name')
    })
    t.same(binds, [WRONG])
    const ceiling = { threshold: 3, windowMs: WINDOW_MS }
    t.same(
      asked.slice(0, 4),
      [undefined, ceiling, undefined, undefined],
      'no place below the ceiling is taken for it',
    )
    t.notMatch(desk.log.text(), /an old one/)

    t.same(await bindsDuring(dave, () => desk.login('dave', dave.password)), ['OK'])
    clock.advance(WINDOW_MS + 60_000 - 1)
    t.same(await bindsDuring(dave, () => desk.login('dave', 'an old one')), [], 'whoever logs in meanwhile')
    // It was tried: from there it counts anew.
    clock.advance(WINDOW_MS + 60_000)
    t.same(await bindsDuring(dave, () => desk.login('dave', 'an old one')), [WRONG])
    await accounts.unlock(dave.dn)
    await accounts.setPassword(dave.dn, 'an old one')
    t.match(await desk.login('dave', 'an old one'), { outcome: 'accept' }, 'it is the right one since')
    await accounts.setPassword(dave.dn, dave.password)
  },
)

t.test('a remembered wrong password gives nobody away whom the lockout refuses', async t => {
  const desk = await openDesk(t, shielded())
  await desk.login('dave', 'wrong again')
  const refused = await desk.login('dave', 'wrong again', { mayVerify: async () => false })
  t.match(refused, { outcome: 'not_applicable' })
  const belowCeiling: Attempt['mayVerify'] = async (_, ceiling) => ceiling === undefined
  const binds = await bindsDuring(dave, async () => {
    t.match(await desk.login('dave', dave.password, { mayVerify: belowCeiling }), {
      outcome: 'not_applicable',
    })
  })
  t.same(binds, [], 'without a place below the ceiling nothing is sent')
  await accounts.unlock(dave.dn)
})

t.test('where one wrong password locks, passwords are sent all the same', async t => {
  await setThreshold(1)
  const desk = await openDesk(t, shielded())
  t.match(await desk.login('alice', alice.password), { outcome: 'accept' })
  t.same(await bindsDuring(alice, () => desk.login('alice', 'wrong')), [WRONG])
  t.ok(await isLocked(alice))
  await accounts.unlock(alice.dn)
})

t.test('a domain that never locks has no ceiling, unless one is configured', async t => {
  await setThreshold(0)
  const ceilings: (Ceiling | undefined)[] = []
  const mayVerify: Attempt['mayVerify'] = async (_, ceiling) => {
    if (ceiling !== undefined) ceilings.push(ceiling)
    return true
  }
  const free = await openDesk(t, shielded())
  const all = await bindsDuring(alice, async () => {
    for (let guess = 1; guess <= 6; guess += 1) await free.login('alice', `guess ${guess}`, { mayVerify })
  })
  t.equal(all.length, 6)
  t.same(ceilings, [])
  const configured = await openDesk(t, shielded({ lockout_shield: { threshold: 4, window: 3_600_000 } }))
  // It counts nothing itself: what holds is what is seen here, and the lockout's own count below the ceiling.
  const few = await bindsDuring(bob, async () => {
    await Promise.all(
      Array.from({ length: 20 }, (_, guess) => configured.login('bob', `guess ${guess}`, { mayVerify })),
    )
  })
  t.equal(few.length, 3)
  t.same(ceilings.at(0), { threshold: 4, windowMs: 3_600_000 })
  await setThreshold(3)
  await accounts.unlock(bob.dn)
})

const ofOwn: readonly (readonly [name: string, LdapOptions, sent: number])[] = [
  ['by its threshold, where it can be read', seeingAll(), patientThreshold - 1],
  ['by a strict guess, where it cannot', shielded(), 2],
  [
    'by what the operator says, where it cannot',
    shielded({ lockout_shield: { threshold: 4, window: WINDOW_MS } }),
    3,
  ],
]
for (const [name, options, sent] of ofOwn) {
  t.test(`a password settings object holds for its people ${name}`, async t => {
    const desk = await openDesk(t, options)
    const { length } = await bindsDuring(patient, () => guessesAtOnce(desk, patient, 20))
    t.equal(length, sent)
    t.notOk(await isLocked(patient))
    await accounts.unlock(patient.dn)
  })
}

t.test(
  'an object whose people the directory does not name is kept to by the configured threshold',
  async t => {
    await setThreshold(10)
    const desk = await openDesk(t, shielded({ lockout_shield: { threshold: 3, window: WINDOW_MS } }))
    t.equal((await bindsDuring(dave, () => guessesAtOnce(desk, dave, 20))).length, 2)
    await accounts.unlock(dave.dn)
    const lenient = await openDesk(t, shielded({ lockout_shield: { threshold: 50, window: WINDOW_MS } }))
    t.equal((await bindsDuring(dave, () => guessesAtOnce(lenient, dave, 20))).length, 9, 'the lower of both')
    await accounts.unlock(dave.dn)
    await setThreshold(3)
  },
)

t.test('an entry from the entry cache is not bound with: its count may be an old one', async t => {
  const desk = await openDesk(t, shielded({ entry_cache: 60_000 }))
  t.match(await desk.login('dave', dave.password), { outcome: 'accept' })
  await accounts.guess(dave.dn, 2)
  const binds = await bindsDuring(dave, async () => {
    t.match(await desk.login('dave', 'wrong'), { state: 'locked' })
  })
  t.same(binds, [])
  await accounts.unlock(dave.dn)
})

t.test('with the shield off every password is sent, with no ceiling', async t => {
  const desk = await openDesk(t, shielded({ lockout_shield: { enabled: false, window: WINDOW_MS } }))
  const mayVerify: Attempt['mayVerify'] = async (_, ceiling) => ceiling === undefined
  const binds = await bindsDuring(alice, async () => {
    for (const guess of ['one', 'one', 'one']) await desk.login('alice', guess, { mayVerify })
  })
  t.equal(binds.length, 3)
  t.same(desk.log.at('warn'), [])
  await accounts.unlock(alice.dn)
})

t.test('what the service account cannot see is said once, and what to do about it', async t => {
  const said = async (options: LdapOptions) => {
    const desk = await openDesk(t, options)
    t.same(desk.log.at('warn'), [], 'the start waits for nothing')
    await desk.login('alice', alice.password)
    await desk.login('alice', alice.password)
    return desk.log.at('warn').map(({ message }) => message)
  }
  t.match(await said(shielded()), [
    /may not see whether there are password settings objects.*lockout_shield\.threshold/,
  ])
  t.same(await said(seeingAll()), [])
  t.same(await said(shielded({ lockout_shield: { threshold: 5, window: WINDOW_MS } })), [])
})

t.test('a lockout policy that cannot be read is taken for a strict one', async t => {
  // The property set "Domain Password & Lockout Policies", denied to everybody who has logged in.
  const denial = '(OD;;RP;c7407360-20bf-11d0-a768-00aa006e0529;;AU)'
  await samba.tool('dsacl', 'set', `--objectdn=${baseDn}`, `--sddl=${denial}`)
  await samba.stop()
  await samba.start()
  await setThreshold(10)
  const desk = await openDesk(t, shielded())
  t.equal((await bindsDuring(dave, () => guessesAtOnce(desk, dave, 20))).length, 2)
  await accounts.unlock(dave.dn)
  t.match(desk.log.at('warn')[0], {
    message: /cannot read the lockout policy/,
    fields: { assumed_threshold: 3 },
  })
  const configured = await openDesk(t, shielded({ lockout_shield: { threshold: 6, window: WINDOW_MS } }))
  t.equal((await bindsDuring(dave, () => guessesAtOnce(configured, dave, 20))).length, 5)
})
