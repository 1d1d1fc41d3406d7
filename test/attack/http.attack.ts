/** Over HTTP, at a daemon in front of a real slapd: who claims to be another with every guess, and who comes in a crowd. */
import { type CorpPerson, corpPeople } from '../support/corp.ts'
import { LOCKOUT_SETTINGS } from '../support/lockout.ts'
import { corpBackend, startSlapd } from '../support/slapd.ts'
import { openLiveDesk, openLiveTally, rightAt, type Visit, wrongAt } from './live-desk.ts'
import { ATTACKER, distantSource, OFFICE } from './people.ts'
import { type Played, playScene } from './scene.ts'

const { maxAttempts, unfamiliar } = LOCKOUT_SETTINGS
const { alice, bob, carol, many, nomail } = corpPeople
const GUESSES = 60
const CROWD = 1_000

/** What a browser, or whoever plays one, can write into a request about where it comes from. */
const CLAIMS: Readonly<
  Record<string, { claim: (address: string) => Record<string, string>; victim: CorpPerson }>
> = {
  'X-Forwarded-For': { claim: address => ({ 'x-forwarded-for': address }), victim: alice },
  'X-Forwarded-For of many hops': {
    claim: address => ({ 'x-forwarded-for': `${address}, ${address}, 10.0.0.1` }),
    victim: bob,
  },
  Forwarded: { claim: address => ({ forwarded: `for=${address};proto=https` }), victim: carol },
  'X-Real-IP': { claim: address => ({ 'x-real-ip': address }), victim: many },
  'all of them, and those of content networks': {
    claim: address => ({
      'x-forwarded-for': address,
      forwarded: `for=${address}`,
      'x-real-ip': address,
      'true-client-ip': address,
      'cf-connecting-ip': address,
      'x-client-ip': address,
      'x-cluster-client-ip': address,
      'fastly-client-ip': address,
    }),
    victim: nomail,
  },
}

playScene('another address in a header with every guess, from no trusted proxy', async ({ t }) => {
  const slapd = await startSlapd(t)
  const desk = await openLiveDesk(t, { backend: corpBackend(slapd) })
  const rows: Played[] = []
  for (const [header, { claim, victim }] of Object.entries(CLAIMS)) {
    const { uid, dn, password } = victim
    const owner = openLiveTally()
    await owner.count(desk.login(uid, password, { from: OFFICE }))
    const visit = (guess: number): Visit => ({ app: 'old app', headers: claim(distantSource(guess)) })
    for (let guess = 0; guess < GUESSES; guess++) {
      const { status } = await desk.guess(uid, visit(guess))
      t.equal(status, guess < maxAttempts ? 401 : 429, `guess ${guess + 1}`)
    }
    t.equal((await desk.login(uid, password, visit(GUESSES))).status, 429, 'nor the right one')
    await owner.count(desk.login(uid, password, { from: OFFICE }))
    const guesses = { verified: await wrongAt(slapd, dn), bound: maxAttempts }
    rows.push({ of: header, guesses, logins: owner.row(0) })
  }
  const [first, ...more] = rows
  if (first === undefined) throw new Error('there are headers to claim it in')
  return [first, ...more]
})

playScene('an app that may not say who asks says another address with every guess', async ({ t }) => {
  const slapd = await startSlapd(t)
  const desk = await openLiveDesk(t, { backend: corpBackend(slapd) })
  for (let guess = 0; guess < GUESSES; guess++) {
    const { status } = await desk.guess('alice', { app: 'old app', from: distantSource(guess) })
    t.equal(status, 403)
  }
  return { guesses: { verified: await wrongAt(slapd, alice.dn), bound: 0 } }
})

playScene(
  'a trusted proxy in between: whatever the browser claimed stands left of what the proxy saw',
  async ({ t }) => {
    const slapd = await startSlapd(t)
    const desk = await openLiveDesk(t, {
      backend: corpBackend(slapd),
      config: { trusted_proxies: ['127.0.0.1', '10.0.0.0/8'] },
    })
    const through = (hops: string): Visit => ({
      app: 'old app',
      headers: { 'x-forwarded-for': hops, forwarded: `for=${hops.split(',')[0]}` },
    })
    const owner = openLiveTally()
    await owner.count(desk.login('alice', alice.password, through(OFFICE)))
    for (let guess = 0; guess < GUESSES; guess++) {
      const claimed = distantSource(guess)
      // Claimed hops on the left, proxies of ours on the right.
      const hops = [
        `${claimed}, ${ATTACKER}`,
        `${claimed}, ${distantSource(guess + GUESSES)}, ${ATTACKER}, 10.1.2.3`,
        `10.9.9.9, ${ATTACKER}, 10.1.2.3`,
        `::ffff:${ATTACKER}`,
      ]
      const { status } = await desk.guess('alice', through(hops[guess % hops.length] ?? ATTACKER))
      t.equal(status, guess < maxAttempts ? 401 : 429, `guess ${guess + 1}`)
    }
    const nonsense = await desk.guess('alice', through(`unknown, ${ATTACKER}:80`))
    t.equal(nonsense.status, 400, 'what is no address is refused, and not taken for the proxy')
    await owner.count(desk.login('alice', alice.password, through(`${ATTACKER}, ${OFFICE}`)))
    return { guesses: { verified: await wrongAt(slapd, alice.dn), bound: maxAttempts }, logins: owner.row(0) }
  },
)

for (const [from, sourceOf, bound] of [
  ['one source', () => ATTACKER, maxAttempts],
  [`${CROWD} sources`, distantSource, unfamiliar.maxAttempts],
] as const) {
  playScene(`${CROWD} guesses at once over HTTP, from ${from}`, async ({ t }) => {
    const slapd = await startSlapd(t)
    const desk = await openLiveDesk(t, { backend: corpBackend(slapd) })
    const owner = openLiveTally()
    await owner.count(desk.login('alice', alice.password, { from: OFFICE }))
    const guesses = Array.from({ length: CROWD }, (_, index) =>
      desk.guess('alice', { from: sourceOf(index) }),
    )
    await owner.count(desk.login('alice', alice.password, { from: OFFICE }))
    const replies = await Promise.all(guesses)
    const told = new Set(replies.map(({ status, code }) => `${status} ${code}`))
    for (const answer of told) {
      t.ok(['401 invalid_credentials', '429 locked_out', '429 busy_retry'].includes(answer), answer)
    }
    t.equal((await desk.guess('alice', { from: sourceOf(0) })).code, 'locked_out')
    await owner.count(desk.login('alice', alice.password, { from: OFFICE }))
    t.same(owner.told, [])
    return { guesses: { verified: await wrongAt(slapd, alice.dn), bound }, logins: owner.row(0) }
  })
}

playScene('no attack: 200 right passwords at once over HTTP', async ({ t }) => {
  const slapd = await startSlapd(t)
  const desk = await openLiveDesk(t, { backend: corpBackend(slapd) })
  const owner = openLiveTally()
  await Promise.all(
    Array.from({ length: 200 }, () => owner.count(desk.login('bob', bob.password, { from: OFFICE }))),
  )
  t.same(owner.told, [])
  // Those that come when a verification has ended begin another.
  t.ok((await rightAt(slapd, bob.dn)) < 200, 'they share verifications')
  return { guesses: { verified: await wrongAt(slapd, bob.dn), bound: 0 }, logins: owner.row(0) }
})
