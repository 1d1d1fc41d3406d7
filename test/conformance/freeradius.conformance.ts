/** FreeRADIUS's tests of its LDAP module: injection, references, states of accounts, empty passwords. */
import t from 'tap'
import { openDesk, slapdOptions } from '../backends/ldap/ldap-login.ts'
import { corpGroupsDn, corpPeople, corpPeopleDn } from '../support/corp.ts'
import { corpBackend } from '../support/slapd.ts'
import { beforeLocal, personLdif, policyDn, policyLdif, sentDuring, startPolicySlapd } from './directory.ts'
import { openHouse } from './house.ts'
import { conforms, differs } from './suite.ts'

const { alice } = corpPeople
const REFUSED = { status: 401, code: 'invalid_credentials' }
/** The name of a group that is a filter for every group, and one that ends the search's own. */
const ODD = 'x)(cn=*'
const odder = '*)(objectClass=*'
const groupLdif = (cn: string, member: string) =>
  `dn: cn=${cn},${corpGroupsDn}\nobjectClass: groupOfNames\ncn: ${cn}\nmember: ${member}`
const slapd = await startPolicySlapd(t, {
  entries: [
    personLdif('odd'),
    groupLdif(ODD, `uid=odd,${corpPeopleDn}`),
    groupLdif(odder, `cn=${ODD},${corpGroupsDn}`),
    groupLdif('board', alice.dn),
    policyLdif('lock', 'pwdLockout: TRUE', 'pwdMaxFailure: 20'),
    personLdif('banned', {
      more: ['pwdAccountLockedTime: 000001010000Z', `pwdPolicySubentry: ${policyDn('lock')}`],
    }),
    personLdif('stale', { more: ['pwdReset: TRUE'] }),
  ],
})
const corp = (changes: object = {}) => corpBackend(slapd, changes)

conforms('F01', async t => {
  const house = await openHouse(t, beforeLocal(corp()))
  const { binds, searches } = await sentDuring(slapd, async () => {
    t.match(await house.login('*', alice.password), REFUSED)
  })
  t.same(binds, [])
  t.match(searches, [{ filter: /\(uid=\\2a\)/i, result: 0 }])
  t.match(house.attempts().at(-1)?.fields, { steps: [{ outcome: 'unknown_user' }] })
})

conforms('F02', async t => {
  const groups = { denied: ['board'], roles: { board: 'chair', staff: 'staff' } }
  const house = await openHouse(t, beforeLocal(corp({ groups })))
  t.match(await house.login('odd', 'odd-secret-1'), {
    status: 200,
    body: { user: { groups: [odder, ODD], roles: [] } },
  })
  const asked = (await slapd.searches()).filter(({ filter }) => filter.includes('member=cn=x'))
  t.ok(asked.length > 0, 'it was asked which groups that group is in')
  t.ok(asked.every(({ filter }) => !filter.includes(ODD)))
  const byFilter = { filter: '(&(objectClass=groupOfNames)(member={dn}))', ...groups }
  const other = await openHouse(t, beforeLocal(corp({ groups: byFilter })))
  t.match(await other.login('odd', 'odd-secret-1'), {
    status: 200,
    body: { user: { groups: [odder, ODD], roles: [] } },
  })
  t.match(await other.login('alice', alice.password), REFUSED, 'where the reference is a true one it applies')
})

differs(
  'F03',
  'an account may log in or may not: there is no reduced profile, and a state is told only to apps that may know it, after the right password',
  async t => {
    const house = await openHouse(t, beforeLocal(corp()))
    t.match(await house.login('banned', 'banned-secret-1'), REFUSED)
    t.match(house.attempts().at(-1)?.fields, { verdict: 'account_state', reason: 'locked' })
    t.match(await house.login('stale', 'stale-secret-1'), { status: 401, code: 'password_must_change' })
    t.match(await house.login('stale', 'wrong'), REFUSED)
    const blind = await house.login('stale', 'stale-secret-1', { app: 'outsider' })
    t.match(blind, REFUSED)
    t.notOk('user' in blind.body)
  },
)

conforms('F04', async t => {
  const house = await openHouse(t, beforeLocal(corp()))
  const desk = await openDesk(t, slapdOptions(slapd))
  const { binds, searches } = await sentDuring(slapd, async () => {
    t.match(await house.login('alice', ''), { status: 400, code: 'invalid_request' })
    // The core lets no such password through; the backend does not rely on it.
    for (const empty of ['', '\0', '\0alice-secret-1']) {
      t.match(await desk.login('alice', empty), { outcome: 'deny' }, JSON.stringify(empty))
    }
  })
  t.same({ binds, searches }, { binds: [], searches: [] })
})
