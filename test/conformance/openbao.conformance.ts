/** OpenBao: user lockout (TestIdentityStore_DisableUserLockoutTest), and what CVE-2025-6004 and its fix say of aliases. */
import t from 'tap'
import { corpPeople } from '../support/corp.ts'
import { corpBackend, startSlapd } from '../support/slapd.ts'
import { LOCKED, openCorp, told, unlock, WRONG } from './lockout-house.ts'
import { conforms, differs } from './suite.ts'

const slapd = await startSlapd(t)
const { alice } = corpPeople

differs(
  'O01',
  'it is switched off for all or for nobody: an account is the same one at every backend and through every app, and a way in that does not count would be the one to guess through',
  async t => {
    const house = await openCorp(t, slapd, { lockout: { mode: 'off' } })
    t.same((await house.guess('alice', 12)).map(told), Array(12).fill(WRONG), 'off')
    const backend = corpBackend(slapd, { lockout: { mode: 'off' } })
    t.match(await house.reload({ backends: [backend] }), { outcome: 'refused' }, 'for a backend')
    const client = { id: 'lax', cidr: '192.0.2.0/24', lockout: 'off' }
    const clients = { backends: [corpBackend(slapd)], clients: [client] }
    t.match(await house.reload(clients), { outcome: 'refused' }, 'for an app')
    t.match(await house.reload({ backends: [corpBackend(slapd)] }), { outcome: 'reloaded' })
    await house.guess('alice', 5)
    t.equal(told(await house.login('alice', alice.password, { app: 'login form' })), LOCKED)
    await house.guess('alice', 5, { app: 'outsider' })
    t.equal(told(await house.login('alice', alice.password, { app: 'outsider' })), LOCKED, 'through each app')
  },
)

conforms('O02', async t => {
  const house = await openCorp(t, slapd)
  const spellings = [' alice', 'ALICE ', '  Alice\u3000', 'ａｌｉｃｅ', 'al\u00adice', '\u00a0aLICE']
  for (const name of spellings.slice(0, 5)) {
    const [reply] = await house.guess(name, 1)
    t.equal(reply && told(reply), WRONG, JSON.stringify(name))
  }
  for (const name of [...spellings, 'alice']) {
    t.equal(told(await house.login(name, alice.password)), LOCKED, JSON.stringify(name))
  }
  t.not((await unlock(house, { user: spellings[5] ?? '' })).length, 0, 'unlocked by any of them')
  for (const name of spellings) t.equal(told(await house.login(name, alice.password)), '200')
})
