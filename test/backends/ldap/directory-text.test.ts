/** Text as a real slapd reads it: which names are one, and whether what we escape stays what it was. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { Client } from 'ldapts'
import t from 'tap'
import { Secret } from '../../../src/authentication/secret.ts'
import { presets } from '../../../src/backends/ldap/presets/presets.ts'
import { canonicalDn, escapeDn, parseDn } from '../../../src/backends/ldap/syntax/dn.ts'
import {
  allOf,
  anything,
  equals,
  parseFilterTemplate,
  parseGroupFilterTemplate,
} from '../../../src/backends/ldap/syntax/filter.ts'
import { Connection, isSendable } from '../../../src/backends/ldap/wire/connection.ts'
import { dial } from '../../../src/backends/ldap/wire/dial.ts'
import { parseEndpoint } from '../../../src/backends/ldap/wire/endpoint.ts'
import { corpBaseDn } from '../../support/corp.ts'
import { runs } from '../../support/runs.ts'
import { startSlapd } from '../../support/slapd.ts'
import { comparePairs } from './name-pairs.ts'

const slapd = await startSlapd(t)
const admin = new Client({ url: slapd.ldapUrl, timeout: 10_000 })
await admin.bind(slapd.adminDn, slapd.adminPassword)
t.teardown(() => admin.unbind())
const connection = await connect()
await connection.bind(slapd.adminDn, new Secret(slapd.adminPassword))

/** The product's own connection. */
async function connect(): Promise<Connection> {
  const { ca } = slapd.certificateAuthority
  const options = { ca, minVersion: 'TLSv1.2', servername: undefined, connectTimeoutMs: 2_000 } as const
  const stream = await dial(parseEndpoint(slapd.ldapsUrl, false), options, AbortSignal.timeout(5_000))
  const opened = new Connection(stream, 10_000)
  t.teardown(() => opened.close())
  return opened
}

let branches = 0
async function newBranch(): Promise<string> {
  const ou = `branch${branches++}`
  await admin.add(`ou=${ou},${corpBaseDn}`, { objectClass: 'organizationalUnit', ou })
  return `ou=${ou},${corpBaseDn}`
}

t.test('names: what slapd takes for one entry has one count, and what we merge is documented', async t => {
  const base = await newBranch()
  const filter = parseFilterTemplate(presets.openldap.userFilter ?? '')
  const names = new Map<string, string>()
  const agreed = await comparePairs(
    {
      async add(name) {
        const cn = `n${names.size}`
        names.set(cn, name)
        await admin.add(`cn=${cn},${base}`, { objectClass: 'inetOrgPerson', cn, sn: 'x', uid: name })
        return true
      },
      async find(username) {
        // Without an `@` in the name it is one filter, the one that asks for the login name.
        const input = username.replaceAll('@', '')
        const [{ filter: forUser } = { filter: anything() }] = filter.forUser({ username, input })
        const request = { base, scope: 'sub', filter: forUser, attributes: ['cn'], sizeLimit: 0 } as const
        const { entries } = await connection.search(request)
        return new Set(entries.map(({ attributes }) => names.get(String(attributes.get('cn')?.[0])) ?? '?'))
      },
    },
    {
      fits: name => name.trim() !== '',
      common: fc.constantFrom(
        ...'abzABZ019 ._-éÉàÀüÜñÑçÇßøØåÅłŁžŽőŐαΑωΩжЖяЯіІ中文あア',
        ...['e\u0301', 'U\u0308', 'ﬁ', '\u212a', '\u212b', 'Ａ', '１', '\u00a0'],
      ),
      composes: true,
      count: 60,
    },
  )
  t.ok(agreed > 50, `${agreed} pairs were one name to both`)
})

/** Whatever text may reach the directory: surrogates are refused at the door. */
const value = fc
  .oneof(
    {
      weight: 3,
      arbitrary: fc.array(fc.constantFrom(...'*()\\\0,+"<>;=# a{}&|!%\n\t/é😀\u007f'), { maxLength: 8 }),
    },
    { weight: 1, arbitrary: fc.array(fc.constantFrom(' ', '#', '\\', 'a', '2', '0'), { maxLength: 4 }) },
    { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 20 }).map(text => [text]) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(['*'], [')(uid=*'], ['\\2a'], ['\\'], ['{dn}'], ['$&'], ['cn=a,dc=b']),
    },
  )
  .map(parts => parts.join('').toWellFormed())
  .filter(text => text !== '')

function drawn(count: number): readonly string[] {
  return [...new Set(fc.sample(value, runs(count)))]
}

function sorted(texts: readonly string[]): readonly string[] {
  return [...texts].sort()
}

t.test('a value in a filter matches the entries that hold exactly it, and no other', async t => {
  const base = await newBranch()
  const values = drawn(150)
  for (const [index, text] of values.entries()) {
    const cn = `f${index}`
    // Octets that are compared as they are, and text of which case counts.
    const entry = { objectClass: ['inetOrgPerson'], cn, sn: 'x', userPassword: Buffer.from(text) }
    await admin.add(`cn=${cn},${base}`, entry as never)
  }
  const byMember = parseGroupFilterTemplate('(&(objectClass=inetOrgPerson)(userPassword={dn}))')
  for (const text of values) {
    const filters = [
      equals('userPassword', text),
      allOf(anything(), equals('userPassword', Buffer.from(text))),
      byMember.forMember({ dn: text, username: 'x' }),
    ]
    for (const filter of filters) {
      const request = { base, scope: 'sub', filter, attributes: ['userPassword'], sizeLimit: 0 } as const
      const { code, entries } = await connection.search(request)
      const found = entries.map(({ attributes }) => String(attributes.get('userpassword')?.[0]))
      assert.deepEqual([code, found], [0, [text]], JSON.stringify(text))
    }
  }
  t.ok(values.length > 50)
})

t.test(
  'a DN with a value that we escaped names the entry that has it: to add, to look under, to bind',
  async t => {
    const base = await newBranch()
    const values = drawn(100)
    const made = new Map<string, string>()
    for (const text of values) {
      const dn = `userPassword=${escapeDn(text)},${base}`
      // slapd refuses an entry that has not the very value that it reads in the DN.
      const entry = { objectClass: ['inetOrgPerson'], cn: 'x', sn: 'x', userPassword: Buffer.from(text) }
      await admin.add(dn, entry as never)
      made.set(text, dn)
    }
    const binder = await connect()
    for (const [text, dn] of made) {
      const request = {
        scope: 'base',
        filter: anything(),
        attributes: ['userPassword'],
        sizeLimit: 0,
      } as const
      const { code, entries } = await connection.search({ ...request, base: dn })
      const found = entries.map(({ attributes }) => String(attributes.get('userpassword')?.[0]))
      assert.deepEqual([code, found], [0, [text]], JSON.stringify(text))
      // Its own way to write it, which is the one that we get to read.
      const written = entries[0]?.dn ?? ''
      const canonical = (name: string) => canonicalDn(parseDn(name) ?? [])
      if (parseDn(written)) assert.equal(canonical(written), canonical(dn), written)
      assert.equal(parseDn(dn)?.[0]?.[0]?.value, text)
      const password = new Secret(text)
      // In braces slapd would read the name of a hash.
      if (!isSendable(password) || text.startsWith('{') || text.includes('\0')) continue
      assert.equal((await binder.bind(dn, password)).code, 0, JSON.stringify(text))
      assert.equal((await binder.bind(dn, new Secret(`${text}.`))).code, 49, JSON.stringify(text))
    }
    const request = {
      scope: 'sub',
      filter: equals('cn', 'x'),
      attributes: ['userPassword'],
      sizeLimit: 0,
    } as const
    const { entries } = await connection.search({ ...request, base })
    const held = entries.map(({ attributes }) => String(attributes.get('userpassword')?.[0]))
    t.strictSame(sorted(held), sorted([...made.keys()]), 'as many entries as values')
  },
)

t.test('a DN of text: as slapd writes it we read it, and its own escapes and ours are one DN', async t => {
  const base = await newBranch()
  let read = 0
  for (const text of drawn(100)) {
    // Blanks at the ends and doubled ones mean nothing in this attribute, and slapd writes none.
    const plain = text
      .replace(/\0/g, '')
      .replace(/[ \u00a0]+/g, ' ')
      .trim()
    if (plain === '') continue
    const dn = `labeledURI=${escapeDn(plain)},${base}`
    const entry = { objectClass: ['inetOrgPerson'], cn: 'x', sn: 'x', labeledURI: plain }
    const added = await admin.add(dn, entry).then(
      () => true,
      () => false,
    )
    if (!added) continue
    const request = {
      base: dn,
      scope: 'base',
      filter: anything(),
      attributes: ['1.1'],
      sizeLimit: 0,
    } as const
    const [found] = (await connection.search(request)).entries
    const parsed = parseDn(found?.dn ?? '')
    assert.ok(parsed, `${found?.dn} of ${JSON.stringify(plain)}`)
    assert.equal(canonicalDn(parsed), canonicalDn(parseDn(dn) ?? []))
    read += 1
  }
  t.ok(read > 30, `${read} were read`)
})
