/** Which names are one, to a real Active Directory domain and to us. */
import fc from 'fast-check'
import { AlreadyExistsError, Client } from 'ldapts'
import t from 'tap'
import { presets } from '../../../src/backends/ldap/presets/presets.ts'
import { parseFilterTemplate } from '../../../src/backends/ldap/syntax/filter.ts'
import { startSamba } from '../../support/samba.ts'
import { sambaDomain, sambaPeopleDn } from '../../support/samba-people.ts'
import { comparePairs } from './name-pairs.ts'

const samba = await startSamba(t)
const { ca } = samba.certificateAuthority
const admin = new Client({
  url: samba.ldapsUrl,
  timeout: 10_000,
  tlsOptions: { ca, host: samba.address, servername: '' },
})
await admin.bind(sambaDomain.administrator.dn, sambaDomain.administrator.password)
t.teardown(() => admin.unbind())

t.test(
  'names: what the domain takes for one account has one count, and what we merge is documented',
  async t => {
    const filter = parseFilterTemplate(presets['active-directory'].userFilter ?? '')
    const names = new Map<string, string>()
    const agreed = await comparePairs(
      {
        async add(name) {
          const cn = `fuzz${names.size}`
          try {
            await admin.add(`CN=${cn},${sambaPeopleDn}`, { objectClass: 'user', sAMAccountName: name })
            names.set(cn, name)
            return true
          } catch (error) {
            if (error instanceof AlreadyExistsError) return false
            throw error
          }
        },
        async find(username) {
          const [{ filter: forUser } = {}] = filter.forUser({ username, input: username })
          const { searchEntries } = await admin.search(sambaPeopleDn, {
            ...(forUser && { filter: forUser }),
            attributes: ['cn'],
          })
          return new Set(searchEntries.map(({ cn }) => names.get(String(cn)) ?? String(cn)))
        },
      },
      {
        // [MS-SAMR] section 3.1.1.6, and the service's own bounds.
        fits: name =>
          name.trim() !== '' && name.length <= 20 && !/["/\\[\]:;|=,+*?<>@\p{Cc}]|\.$/u.test(name),
        common: fc.constantFrom(...'abzABZ019 ._-éÉàÀüÜñÑçÇßøØåÅłŁžŽőŐαΑωΩжЖяЯіІ中文あア'),
        composes: false,
        count: 40,
      },
    )
    t.ok(agreed > 10, `${agreed} pairs were one name to both`)
  },
)
