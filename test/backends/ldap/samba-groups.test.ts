/** The three ways to nested groups, on a real Active Directory domain: they must agree. */
import t from 'tap'
import { Secret } from '../../../src/authentication/secret.ts'
import type { Nesting } from '../../../src/backends/ldap/presets/preset.ts'
import { createFakeClock } from '../../support/fake-clock.ts'
import { startSamba } from '../../support/samba.ts'
import { groupDn, sambaPeople, sambaService } from '../../support/samba-people.ts'
import { groupOptions, ldapOptions, openDesk, tlsOptions } from './ldap-login.ts'

const { alice, nested, primary } = sambaPeople
const samba = await startSamba(t)
const ways = ['token_groups', 'in_chain', 'levels', 'auto'] as const satisfies readonly Nesting[]

const open = (nesting: Nesting, changes: Parameters<typeof groupOptions>[0] = {}) =>
  openDesk(
    t,
    ldapOptions({
      preset: 'active-directory',
      urls: [samba.ldapsUrl],
      tls: tlsOptions({ ca_file: samba.caFile }),
      bind: { method: 'simple', dn: samba.serviceDn, password: new Secret(samba.servicePassword) },
      base_dn: samba.baseDn,
      groups: groupOptions({ nesting, ...changes }),
    }),
    createFakeClock(Date.now()),
  )

const expected = {
  [alice.sam]: ['Domain Users', 'Users', 'Wiki Admins, R&D (EMEA)', 'staff'],
  [nested.sam]: ['Domain Users', 'Users', 'level 1', 'level 2', 'level 3', 'level 4'],
  // Who gets another primary group stays in the one they had, as an ordinary member.
  [primary.sam]: ['Domain Users', 'Users', 'all readers', 'readers'],
}

t.test('tokenGroups, the in-chain rule and the walk by levels find the same groups', async t => {
  for (const nesting of ways) {
    const desk = await open(nesting)
    for (const { sam, password } of [alice, nested, primary]) {
      const outcome = await desk.login(sam, password)
      const groups = outcome.outcome === 'accept' ? outcome.user.groups.toSorted() : outcome
      t.same(groups, expected[sam], `${sam} by ${nesting}`)
    }
  }
})

t.test('auto takes tokenGroups', async t => {
  const values: string[] = []
  const desk = await open('auto')
  await desk.login(nested.sam, nested.password, {
    note: ({ what, value }) => values.push(`${what}: ${value}`),
  })
  t.ok(values.includes('groups: 6, found by token_groups'), values.join('\n'))
  for (const path of [
    'level 4 ← level 3 ← level 2 ← level 1 ← nested',
    'Domain Users ← nested (primary group)',
    'Users ← Domain Users ← nested (primary group)',
  ]) {
    t.ok(values.includes(`group: ${path}`), path)
  }
})

t.test('patterns count by name, by DN and by SID, however the groups are found', async t => {
  const [, sid = ''] = /^objectSid: (\S+)$/m.exec(await samba.tool('group', 'show', 'level 4')) ?? []
  t.match(sid, /^S-1-5-21-/)
  for (const nesting of ways) {
    const roles = { 'level 4': 'name', [groupDn('level 4')]: 'dn', [sid]: 'sid', 'S-1-5-21-*-513': 'domain' }
    const desk = await open(nesting, { roles })
    t.match(await desk.login(nested.sam, nested.password), {
      outcome: 'accept',
      user: { roles: ['name', 'dn', 'sid', 'domain'] },
    })
    const denying = await open(nesting, { denied: [sid] })
    t.match(await denying.login(nested.sam, nested.password), { outcome: 'deny' }, nesting)
    t.match(await denying.login(alice.sam, alice.password), { outcome: 'accept' }, nesting)
  }
  const direct = await open('direct', { roles: { 'level 4': 'far', 'Domain Users': 'primary' } })
  t.match(await direct.login(nested.sam, nested.password), { user: { roles: ['primary'] } })
})

t.test('a denied group that is hidden from the service account lets nobody in', async t => {
  const [, sid = ''] = /^objectSid: (\S+)$/m.exec(await samba.tool('user', 'show', sambaService.sam)) ?? []
  t.match(sid, /^S-1-5-21-/)
  const denying = await open('auto', { denied: ['level 4'] })
  t.match(await denying.login(nested.sam, nested.password), { outcome: 'deny' })
  const hide = `(D;;RPLCLORC;;;${sid})`
  await samba.tool('dsacl', 'set', `--objectdn=${groupDn('level 4')}`, `--sddl=${hide}`)
  for (const nesting of ['auto', 'token_groups'] as const) {
    const blind = await open(nesting, { denied: ['level 4'] })
    t.match(await blind.login(nested.sam, nested.password), { outcome: 'unavailable' }, nesting)
    t.match(await blind.login(alice.sam, alice.password), { outcome: 'accept' }, 'whoever is not in it')
  }
})
