/** Advisories on Active Directory, against a real domain. */
import t from 'tap'
import { startSamba } from '../support/samba.ts'
import { sambaDomain, sambaPeople, sambaService } from '../support/samba-people.ts'
import { openHouse } from './house.ts'
import { spelled } from './replies.ts'
import { conforms } from './suite.ts'

const samba = await startSamba(t)
const { alice, bob, carol, mallory } = sambaPeople
const backend = {
  ...{ id: 'corp', type: 'ldap', preset: 'active-directory', urls: [samba.ldapsUrl], base_dn: samba.baseDn },
  tls: { ca_file: samba.caFile },
  bind: { dn: samba.serviceDn, password: samba.servicePassword },
  names: { netbios: sambaDomain.netbios, upn_suffixes: [sambaDomain.dns, sambaDomain.alternative] },
}
const CONFIG = { backends: [backend], lockout: { mode: 'off' } }

/** Every bind of a person that reached the domain controller while `work` ran. */
async function bindsDuring(work: () => Promise<unknown>): Promise<readonly string[]> {
  const before = (await samba.authentications()).length
  await work()
  const seen = (await samba.authentications()).slice(before)
  return seen.map(({ account }) => account ?? '').filter(account => account !== sambaService.sam)
}

conforms('advisory 2', async t => {
  const house = await openHouse(t, CONFIG)
  const binds = await bindsDuring(async () => {
    for (const name of [
      alice.sam,
      `CORP\\${alice.sam}`,
      alice.upn,
      alice.dn,
      'nobody',
      'Administrator',
      'Guest',
    ]) {
      for (const password of ['', ' ', '\0', '\u3000', '\u200b']) {
        t.equal((await house.login(name, password)).status, 400, `${name} by ${spelled(password)}`)
      }
    }
  })
  t.same(binds, [], 'no bind was sent')
  t.same(await bindsDuring(() => house.login(alice.sam, alice.password)), [alice.sam])
})

conforms('advisory 3', async t => {
  // The record names no vector: all that makes a bind anonymous, unauthenticated or somebody else's.
  const house = await openHouse(t, CONFIG)
  const binds = await bindsDuring(async () => {
    const nobodies = [
      '',
      ' ',
      '\\',
      '@',
      'CORP\\',
      'corp\\ ',
      '@corp.example',
      '\0',
      `${alice.sam}\0`,
      '\u200b',
    ]
    for (const name of nobodies) {
      for (const password of [alice.password, '']) {
        const { status } = await house.login(name, password)
        t.ok(status === 400 || status === 401, `${spelled(name)}: ${status}`)
      }
    }
    // What the directory itself would take for a name in a bind, and finds nobody's login by.
    for (const name of [
      '*',
      alice.dn,
      `<GUID=${alice.sam}>`,
      'NT AUTHORITY\\ANONYMOUS LOGON',
      'CORP\\Domain Users',
      'DC1$',
      'CORP\\\\alice',
    ]) {
      t.equal((await house.login(name, alice.password)).status, 401, name)
    }
    for (const password of [`\0${alice.password}`, `${alice.password}\0`, '\n', '\ufeff']) {
      t.equal((await house.login(alice.sam, password)).status, 400, spelled(password))
    }
  })
  t.same(binds, [], 'none of these became a bind')
  for (const { sam, password } of [alice, bob]) t.equal((await house.login(sam, password)).status, 200, sam)
  t.equal((await house.login(alice.sam, bob.password)).status, 401, 'another one’s password')
})

conforms('advisory 39', async t => {
  // Many wrong passwords of hers, each followed by the right one.
  const unshielded = { ...CONFIG, backends: [{ ...backend, lockout_shield: { enabled: false } }] }
  const house = await openHouse(t, unshielded)
  const idOf = async (name: string, password: string) => {
    const { status, body } = await house.login(name, password)
    t.equal(status, 200, name)
    return (body.user as { id: string }).id
  }
  const [hers, his] = [await idOf(carol.sam, carol.password), await idOf(mallory.sam, mallory.password)]
  t.match(hers, /^corp:[0-9a-f-]{36}$/, 'an id that nobody chooses')
  // He gives himself her name as his UPN, as his address, as the name that is shown.
  const names = [carol.sam, `${carol.sam}@corp.example`, `${carol.sam}@alt.example`, `CORP\\${carol.sam}`]
  for (const attribute of ['userPrincipalName', 'mail', 'displayName'] as const) {
    // The domain itself refuses the UPN that is hers by her login name, and not the one of its other suffix.
    const value = {
      userPrincipalName: `${carol.sam}@alt.example`,
      mail: `${carol.sam}@corp.example`,
      displayName: carol.sam,
    }
    await samba.accounts.set(mallory.dn, attribute, value[attribute])
    for (const name of names) {
      const asHim = await house.login(name, mallory.password)
      const user = asHim.body.user as { id: string } | undefined
      t.not(user?.id, hers, `${attribute}: ${name} by his password is not she`)
      const asHer = await house.login(name, carol.password)
      // Where the directory would mean both by it, it is nobody's.
      t.ok([200, 401].includes(asHer.status), `${attribute}: ${name} by hers: ${asHer.text}`)
      if (asHer.status === 200)
        t.equal((asHer.body.user as { id: string }).id, hers, 'is she and nobody else')
    }
    t.equal(await idOf(carol.sam, carol.password), hers, `${attribute}: her login name stays hers`)
    t.equal(await idOf(mallory.sam, mallory.password), his, 'and he is who he was')
    t.match((await house.getUser(hers)).body, { user: { id: hers, username: carol.sam } })
  }
  await samba.reset()
  // A login name that was somebody's, given to another: a person of another id.
  await samba.accounts.set(carol.dn, 'sAMAccountName', 'carol-of-old')
  await samba.accounts.set(mallory.dn, 'sAMAccountName', carol.sam)
  const later = await openHouse(t, unshielded)
  const now = (await later.login(carol.sam, mallory.password)).body.user as { id: string } | undefined
  t.equal(now?.id, his, 'the name went on, the id stayed')
  t.equal((await later.login(carol.sam, carol.password)).status, 401)
  await samba.reset()
})
