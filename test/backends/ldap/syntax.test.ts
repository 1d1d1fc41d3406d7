import assert from 'node:assert/strict'
import fc from 'fast-check'
import { AndFilter, EqualityFilter, FilterParser } from 'ldapts'
import t from 'tap'
import {
  matchesPieces,
  matchGroups,
  readGroup,
  unnamedGroup,
} from '../../../src/backends/ldap/groups/group.ts'
import { bindOutcome } from '../../../src/backends/ldap/person/verdict.ts'
import { presets } from '../../../src/backends/ldap/presets/presets.ts'
import {
  canonicalDn,
  type EscapedDn,
  escapeDn,
  isUnder,
  parseDn,
} from '../../../src/backends/ldap/syntax/dn.ts'
import { formatGuid, idOctets, parseGuid, readId } from '../../../src/backends/ldap/syntax/entry.ts'
import {
  type EscapedFilter,
  escapeFilter,
  FilterTemplateError,
  parseFilter,
  parseFilterTemplate,
  parseGroupFilterTemplate,
} from '../../../src/backends/ldap/syntax/filter.ts'
import { formatSid, neighbourSid, parseSid } from '../../../src/backends/ldap/syntax/sid.ts'
import { describe } from '../../../src/backends/ldap/wire/result.ts'
import { entryOf } from './ldap-login.ts'
import '../../support/runs.ts'

const anyText = fc.string({ unit: 'binary', maxLength: 40 })
const wickedText = fc
  .array(fc.constantFrom(...'*()\\\0,+"<>;=# aé😀{}$&%\n'), { maxLength: 20 })
  .map(characters => characters.join(''))
const text = fc.oneof(anyText, wickedText)

/** The value of a filter `(a=…)` as ldapts reads it, octet by octet. */
function filterValue(filter: string): Buffer {
  const parsed = FilterParser.parseString(filter)
  assert.ok(parsed instanceof EqualityFilter, filter)
  return Buffer.from(parsed.value.toString(), 'latin1')
}

t.test('an escaped filter value reads as itself, whatever it holds (RFC 4515)', async t => {
  fc.assert(
    fc.property(text, value => {
      const escaped = escapeFilter(value)
      assert.match(escaped, /^(?:[ -~](?<![*()\\])|\\[0-9a-f]{2})*$/)
      assert.deepEqual(filterValue(`(a=${escaped})`), Buffer.from(value))
    }),
  )
  t.equal(escapeFilter('*()\\\0'), '\\2a\\28\\29\\5c\\00')
  t.equal(escapeFilter(Buffer.from([0xff, 0x41])), '\\ffA', 'octets that are no UTF-8')
})

t.test('an escaped DN value reads as itself, whatever it holds (RFC 4514)', async t => {
  fc.assert(
    fc.property(fc.array(text, { minLength: 1, maxLength: 4 }), values => {
      const dn = values.map(value => `cn=${escapeDn(value)}`).join(',')
      assert.deepEqual(
        parseDn(dn),
        values.map(value => [{ type: 'cn', value }]),
      )
    }),
  )
  t.equal(escapeDn(' #a "+,;<>\\\0 '), '\\20#a \\22\\2b\\2c\\3b\\3c\\3e\\5c\\00\\20')
})

t.test('one escape cannot stand for the other', async t => {
  const forDn: EscapedDn = escapeDn('a')
  const forFilter: EscapedFilter = escapeFilter('a')
  // @ts-expect-error a DN's escape in a filter
  const wrong: EscapedFilter = forDn
  // @ts-expect-error a filter's escape in a DN
  const alsoWrong: EscapedDn = forFilter
  t.same([wrong, alsoWrong], ['a', 'a'])
})

t.test('DNs are read in every spelling that directories use', async t => {
  t.same(parseDn('CN=Carroll\\, Lewis + uid = x ,DC=corp'), [
    [
      { type: 'cn', value: 'Carroll, Lewis' },
      { type: 'uid', value: 'x' },
    ],
    [{ type: 'dc', value: 'corp' }],
  ])
  const spellings = ['cn=\\C5\\81uk\\20', 'CN=Łuk\\ ', 'cn= Łuk\\20  ']
  t.strictSame(new Set(spellings.map(dn => canonicalDn(parseDn(dn) ?? []))), new Set(['cn=łuk\\20']))
  for (const none of [
    '',
    'alice',
    'cn=a,',
    'cn=a;dc=b',
    'cn="a"',
    'cn=#04024869',
    'cn=a\\zz',
    'cn=\\ff',
    '=a',
  ]) {
    t.equal(parseDn(none), undefined, JSON.stringify(none))
  }
})

t.test('only what ends in the base lies under it', async t => {
  const base = 'OU=People, dc=corp,DC=example'
  t.ok(isUnder('uid=a,ou=people,dc=corp,dc=example', base))
  t.ok(isUnder('uid=\\2c,ou=PEOPLE,dc=corp,dc=example', base))
  t.ok(isUnder('ou=people,dc=corp,dc=example', base))
  t.notOk(isUnder('dc=corp,dc=example', base))
  t.notOk(isUnder('uid=a\\,ou\\=people,dc=corp,dc=example', base), 'a comma in a value is none')
  t.notOk(isUnder('uid=a,ou=people,dc=corp,dc=example,dc=evil', base))
  t.notOk(isUnder('', base))
  t.ok(isUnder('uid=a+b,ou=people,dc=corp,dc=example', base), 'as LLDAP writes it')
  t.notOk(isUnder('uid=a+b,ou=other,dc=corp,dc=example', base))
})

t.test('a name never becomes a part of the filter', async t => {
  const template = parseFilterTemplate('(& (objectClass=person) (|(uid={username}) (mail={input})))')
  fc.assert(
    fc.property(text, text, (username, input) => {
      const [{ filter } = {}] = template.forUser({ username, input })
      assert.ok(filter instanceof AndFilter)
      const [, either] = (filter as AndFilter).filters as unknown as [unknown, AndFilter]
      const values = either.filters.map(leaf => (leaf as EqualityFilter).value)
      assert.deepEqual(values, [Buffer.from(username), Buffer.from(input)])
    }),
  )
  t.equal(
    template.forUser({ username: '*)(uid=*', input: '{username}$&' })[0]?.shown(),
    '(&(objectClass=person)(|(uid=\\2a\\29\\28uid=\\2a)(mail={username}$&)))',
  )
  t.equal(template.forAnyone().toString(), '(&(objectClass=person)(|(uid=*)(mail=*)))')
  const suffixed = parseFilterTemplate('(userPrincipalName={username}@corp.example)')
  t.match(suffixed.forUser({ username: 'a', input: 'b' })[0]?.filter.toString(), /\\40/)
})

t.test('a mail address is looked for only if nobody has the name, and only if it is one', async t => {
  const shown = (template: string, input: string) =>
    parseFilterTemplate(template)
      .forUser({ username: 'alice', input })
      .map(({ shown }) => shown())
  const preset = '(&(objectClass=person)(|(uid={username})(mail={mail})))'
  t.same(shown(preset, 'alice'), ['(&(objectClass=person)(uid=alice))'])
  t.same(shown(preset, 'alice@corp.example'), [
    '(&(objectClass=person)(uid=alice))',
    '(&(objectClass=person)(|(uid=alice)(mail=alice@corp.example)))',
  ])
  t.same(shown('(mail={mail})', 'alice'), [], 'nobody')
  t.same(shown('(mail={mail})', 'a@b'), ['(mail=a@b)'])
  t.same(shown('(&(uid={username})(mail={mail}))', 'a@b'), ['(&(uid=alice)(mail=a@b))'])
  t.same(shown('(|(uid={username})(cn={input}))', 'a@b'), ['(|(uid=alice)(cn=a@b))'])
  t.same(shown('(&(|(a=b)(!(c=d)))(uid={username}))', 'a@b'), ['(&(|(a=b)(!(c=d)))(uid=alice))'])
})

t.test('a DN never becomes a part of a groups.filter', async t => {
  const template = parseGroupFilterTemplate('(| (member={dn}) (memberUid={username}))')
  fc.assert(
    fc.property(text, text, (dn, username) => {
      const { filters } = template.forMember({ dn, username }) as AndFilter
      assert.deepEqual(
        filters.map(leaf => (leaf as EqualityFilter).value),
        [Buffer.from(dn), Buffer.from(username)],
      )
    }),
  )
  const refused = {
    '(member={input})': /\{dn\} and \{username\}/,
    '(member=x)': /neither/,
    '(member={dn}*)': /wild/,
    '(|(member={dn})(cn=everybody))': /matches for everybody/,
  }
  for (const [filter, message] of Object.entries(refused)) {
    t.throws(() => parseGroupFilterTemplate(filter), { constructor: FilterTemplateError, message }, filter)
  }
  t.equal(parseFilter('(& (a=b) (c=d))').toString(), '(&(a=b)(c=d))')
  t.throws(() => parseFilter('(a=b'), FilterTemplateError)
})

t.test('a template that is no filter, or could widen one, is refused with the reason', async t => {
  const refused = {
    '(uid={user})': /\{user\} is no placeholder/,
    '(uid=%u)': /neither \{username\} nor \{input\} nor \{mail\}/,
    '(uid={username}': /not closed/,
    '(&(uid={username})': /not closed/,
    '(uid=\\7busername\\7d)': /a brace cannot stand/,
    '(uid={constructor})': /\{constructor\} is no placeholder/,
    '(uid={username})(a=b)': /no filter/,
    '({username}=a)': /no filter/,
    '(uid=*{username}*)': /without wildcards/,
    '(uid={username}*)': /without wildcards/,
    '(uid>={username})': /equality/,
    '(member:1.2.840.113556.1.4.1941:={input})': /equality/,
    '(&(uid=a)(!(uid={username})))': /inside/,
    '(|(uid={username})(uid=carol))': /matches for everybody/,
    '(|(&(a=b)(uid={username}))(&(a=c)(a=d)))': /matches for everybody/,
    '(&(o=\\c3\\a9)(uid={username}))': /written as itself/,
  }
  for (const [template, reason] of Object.entries(refused)) {
    t.throws(
      () => parseFilterTemplate(template),
      { constructor: FilterTemplateError, message: reason },
      template,
    )
  }
})

t.test('a GUID is written as Microsoft writes it, and read back', async t => {
  for (const length of [0, 15, 17]) t.equal(formatGuid(Buffer.alloc(length)), undefined, `${length} octets`)
  const octets = Buffer.from('33221100554477668899aabbccddeeff', 'hex')
  t.equal(formatGuid(octets), '00112233-4455-6677-8899-aabbccddeeff')
  t.equal(formatGuid(octets.subarray(1)), undefined)
  t.same(idOctets('00112233-4455-6677-8899-AABBCCDDEEFF', 'objectGUID'), octets)
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), bytes => {
      assert.deepEqual(parseGuid(formatGuid(Buffer.from(bytes)) ?? ''), Buffer.from(bytes))
    }),
  )
  for (const none of ['', 'alice', '*', '00112233-4455-6677-8899-aabbccddeef', '\\00']) {
    t.equal(idOctets(none, 'objectGUID'), undefined, none)
    t.equal(idOctets(none, 'entryUUID'), undefined, none)
  }
})

t.test('a SID is written as Microsoft writes it, and read back', async t => {
  const known = {
    'S-1-5-32-544': '01020000000000052000000020020000',
    'S-1-5-21-3623811015-3361044348-30300820-1013':
      '010500000000000515000000c7f7fed77c7755c8945ace01f5030000',
    'S-1-1-0': '010100000000000100000000',
    'S-1-5': '0100000000000005',
    'S-1-0x010203040506-7': '010101020304050607000000',
  }
  for (const [text, hex] of Object.entries(known)) {
    t.equal(formatSid(Buffer.from(hex, 'hex')), text)
    t.same(parseSid(text.toLowerCase()), Buffer.from(hex, 'hex'))
  }
  const authority = fc.oneof(fc.nat({ max: 2 ** 32 - 1 }), fc.nat({ max: 2 ** 48 - 1 }))
  const parts = fc.array(fc.nat({ max: 2 ** 32 - 1 }), { maxLength: 15 })
  fc.assert(
    fc.property(authority, parts, (number, numbers) => {
      const octets = Buffer.alloc(8 + 4 * numbers.length)
      octets.writeUInt16BE(0x100 + numbers.length)
      octets.writeUIntBE(number, 2, 6)
      for (const [index, each] of numbers.entries()) octets.writeUInt32LE(each, 8 + 4 * index)
      const text = formatSid(octets) ?? ''
      assert.ok(text.startsWith('S-1-') && text.split('-').length === 3 + numbers.length)
      assert.deepEqual(parseSid(text), octets)
    }),
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), bytes => {
      const text = formatSid(Buffer.from(bytes))
      if (text !== undefined) assert.deepEqual(parseSid(text), Buffer.from(bytes))
    }),
  )
  for (const none of ['', '0100', '0201000000000005', '010100000000000500', '01010000000000050000']) {
    t.equal(formatSid(Buffer.from(none, 'hex')), undefined, none)
  }
  const wrong = [
    'S-1-',
    'S-2-5-1',
    'S-1-5-4294967296',
    'S-1-4294967296',
    'S-1-0x000000000005',
    'S-1-5-x',
    'x',
  ]
  for (const none of wrong) t.equal(parseSid(none), undefined, none)
  t.equal(parseSid(`S-1-5${'-1'.repeat(16)}`), undefined)
})

t.test('the primary group is a neighbour of its members in the domain', async t => {
  const alice = parseSid('S-1-5-21-1-2-3-1105') ?? Buffer.alloc(0)
  t.equal(formatSid(neighbourSid(alice, 513) ?? Buffer.alloc(0)), 'S-1-5-21-1-2-3-513')
  t.equal(formatSid(alice), 'S-1-5-21-1-2-3-1105', 'and stays who she is')
  for (const id of [-1, 2 ** 32, 1.5, Number.NaN]) t.equal(neighbourSid(alice, id), undefined, String(id))
  t.equal(neighbourSid(Buffer.from('x'), 513), undefined)
  t.equal(neighbourSid(parseSid('S-1-5') ?? alice, 513), undefined)
})

t.test('entries are read whatever case, number and kind of values the server sends', async t => {
  const guid = Buffer.from('33221100554477668899aabbccddeeff', 'hex')
  const entry = entryOf({ dn: 'cn=a', OBJECTGUID: guid, Mail: 'a@x', cn: ['a', 'b'], empty: [] })
  t.equal(readId(entry, 'objectGUID'), '00112233-4455-6677-8899-aabbccddeeff')
  t.equal(readId(entry, 'entryUUID'), undefined)
  t.equal(readId(entry, 'cn'), undefined, 'of several none')
  t.same(
    [entry.texts('mail'), entry.texts('CN'), entry.texts('empty'), entry.texts('none')],
    [['a@x'], ['a', 'b'], [], []],
  )
  // Sixteen octets that happen to be UTF-8 come as text.
  t.equal(
    readId(entryOf({ dn: 'cn=a', objectGuid: 'abcdefghijklmnop' }), 'objectGUID'),
    '64636261-6665-6867-696a-6b6c6d6e6f70',
  )
  t.same(entryOf({ dn: 'cn=a', memberOf: [], 'memberOf;Range=0-1499': 'cn=g' }).range('memberof'), {
    attribute: 'memberof;range=0-1499',
    from: 0,
    next: 1_500,
  })
  t.match(entryOf({ dn: 'cn=a', 'member;range=1500-*': 'cn=g' }).range('member'), { from: 1_500 })
  t.equal(entryOf({ dn: 'cn=a', member: 'cn=g' }).range('member'), undefined)
  t.same(entryOf({ dn: 'cn=a', 'member;range=0-x': 'cn=g' }).range('member')?.from, Number.NaN, 'never whole')
  const names = entryOf({ dn: 'cn=a', objectSid: ['a', 'é'] })
  t.same(names.allOctets('objectsid'), [Buffer.from('a'), Buffer.from('é')])
  t.same(entryOf({ dn: 'cn=a', uid: Buffer.from('fffe', 'hex') }).texts('uid'), [], 'no text')
  t.same(entryOf({ dn: 'cn=a', uid: '\uFEFFadmin' }).texts('uid'), ['\uFEFFadmin'], 'nothing is dropped')
})

t.test('a group is named by its first value, unescaped, and never overlooked', async t => {
  t.equal(readGroup('CN=Sales\\, EMEA,OU=Groups,DC=corp').name, 'Sales, EMEA')
  t.equal(readGroup('ou=x+cn=Łódź,dc=corp').name, 'Łódź')
  t.equal(readGroup('not a dn').name, 'not a dn')
  t.ok(matchGroups(['not a *'])([readGroup('not a dn')]))
  const unescaped = readGroup('cn=Sales, EMEA + x,ou=groups,dc=corp,dc=example')
  t.equal(unescaped.name, 'Sales, EMEA + x', 'as LLDAP writes it')
  t.equal(unescaped.dn, 'cn=Sales, EMEA + x,ou=groups,dc=corp,dc=example')
  t.ok(matchGroups(['Sales, EMEA*'])([unescaped]))
  t.ok(matchGroups(['cn=Sales\\, EMEA \\+ x,ou=groups,*'])([unescaped]))
  t.equal(readGroup(`cn=a, ${'b'.repeat(2_000)},ou=groups`).name.length > 2_000, true, 'within bounds')
})

t.test('patterns are matched against DNs in any spelling, others against names', async t => {
  const groups = [readGroup('cn=Wiki Admins\\2c R&D,ou=Groups,dc=corp')]
  for (const pattern of [
    'CN=Wiki Admins\\, R&D,*',
    'cn=wiki*',
    '*,OU=groups, DC=CORP',
    'CN=Wiki Admins*,ou=*,dc=corp',
    'wiki admins, r&d',
    'Wiki *',
    '*',
  ]) {
    t.ok(matchGroups([pattern])(groups), pattern)
  }
  for (const pattern of ['CN=Wiki Admins,*', 'Wiki', 'CN=Wiki*,DC=other', 'cn=wiki\\2a,*', 'ou=Groups,*']) {
    t.notOk(matchGroups([pattern])(groups), pattern)
  }
  t.notOk(
    matchGroups(['cn=a*,ou=apps,dc=corp'])([readGroup('cn=a\\,ou\\=apps\\,dc\\=corp')]),
    'a value with commas',
  )
  t.notOk(matchGroups([])(groups), 'no pattern means nobody')
  t.throws(() => matchGroups(['cn="x",*']), /no pattern over DNs/)
  t.throws(() => matchGroups(['cn=staff']), /no group has the DN "cn=staff": write the name alone/)
})

t.test('patterns over SIDs are matched against SIDs, never against names that look like one', async t => {
  const admins = readGroup('cn=Domain Admins,dc=corp', 'S-1-5-21-1-2-3-512')
  const foreign = unnamedGroup('S-1-5-21-9-9-9-1105')
  const impostor = readGroup('cn=S-1-5-21-1-2-3-512,dc=corp', 'S-1-5-21-1-2-3-4711')
  t.ok(matchGroups(['s-1-5-21-1-2-3-512'])([admins]))
  t.ok(matchGroups(['S-1-5-21-*-512'])([admins]))
  t.ok(matchGroups(['S-1-5-21-9-9-9-*'])([foreign]))
  t.ok(matchGroups(['Domain Admins'])([admins]))
  t.notOk(matchGroups(['S-1-5-21-1-2-3-512'])([impostor, foreign]))
  t.notOk(matchGroups(['cn=*'])([foreign]))
  t.ok(matchGroups(['S-1-team'])([readGroup('cn=S-1-team,dc=corp')]), 'a name like another')
})

t.test('a star, an equals sign or another composition of a letter in a name is meant as written', async t => {
  const names = (...them: string[]) => them.map(name => readGroup(`cn=${escapeDn(name)},dc=corp`))
  t.ok(matchGroups(['C\\2a'])(names('C*')))
  t.notOk(matchGroups(['C\\2a'])(names('C', 'Cx')))
  t.ok(matchGroups(['a\\3db'])(names('a=b')))
  t.ok(matchGroups(['Łód\\c5\\ba'])(names('Łódź')))
  t.ok(matchGroups(['Cafe\u0301'])(names('Caf\u00e9')) && matchGroups(['Caf\u00e9'])(names('Cafe\u0301')))
  t.ok(matchGroups(['cn=Cafe\u0301,*'])(names('Caf\u00e9')))
})

t.test('a star stands for any text', async t => {
  t.ok(
    matchesPieces(['a', 'b', 'c'], 'abc') && !matchesPieces(['ab', 'bc'], 'abc'),
    'no character counts twice',
  )
  const pieces = fc.array(fc.stringMatching(/^[ab]{0,3}$/), { minLength: 1, maxLength: 4 })
  fc.assert(
    fc.property(pieces, fc.stringMatching(/^[ab]{0,9}$/), (parts, subject) => {
      const expected = new RegExp(`^${parts.join('.*')}$`).test(subject)
      assert.equal(matchesPieces(parts, subject), expected)
    }),
  )
})

t.test('every result of a bind has its outcome, and only 0 and 49 speak of the password', async t => {
  const ad = (data: string) => ({
    code: 49,
    message: `80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data ${data}, v1db1\0`,
  })
  const person = {
    dn: 'cn=id',
    user: { id: 'id', username: 'id', groups: [], roles: [], attributes: {} },
    member: { dn: 'cn=id', username: 'id', listed: [], range: undefined, primaryGroup: undefined },
  }
  const state = (state: string, passwordVerified: boolean) => ({
    outcome: 'account_state',
    subject: 'id',
    state,
    passwordVerified,
  })
  const expected = {
    '52e': { outcome: 'wrong_password', subject: 'id' },
    '525': { outcome: 'unknown_user' },
    '52f': state('restricted', false),
    '530': state('logon_hours', true),
    '531': state('workstation_not_allowed', true),
    '532': state('password_expired', true),
    '533': state('disabled', true),
    '701': state('expired', true),
    '773': state('password_must_change', true),
    '775': state('locked', false),
    '0775': state('locked', false),
    '52E': { outcome: 'wrong_password', subject: 'id' },
    '9999': { outcome: 'wrong_password', subject: 'id' },
  }
  for (const [data, outcome] of Object.entries(expected))
    t.same(bindOutcome(ad(data), person, presets['active-directory']), outcome, data)
  t.same(bindOutcome({ code: 49, message: '' }, person, presets['active-directory']), {
    outcome: 'wrong_password',
    subject: 'id',
  })
  t.equal(bindOutcome({ code: 0, message: '' }, person, presets['active-directory']), undefined)
  for (let code = 1; code <= 300; code++) {
    if (code === 49) continue
    const outcome = bindOutcome({ ...ad('533'), code }, person, presets['active-directory'])
    assert.equal(outcome?.outcome, 'unavailable', `result ${code}`)
    assert.equal('credentialSent' in outcome && outcome.credentialSent, true, `result ${code}`)
  }
  t.match(describe({ code: 8, message: 'Transport encryption required' }), /use ldaps:\/\/ or tls/)
  t.equal(describe({ code: 49, message: 'a\0\nb' }), 'result 49 (invalidCredentials): "a b"')
})

t.test('the state of an Active Directory account is read from its entry', async t => {
  const now = Date.UTC(2026, 0, 1)
  const fileTime = (wallMs: number) => String((wallMs + 11_644_473_600_000) * 10_000)
  const read = (attributes: Record<string, string>) =>
    presets['active-directory'].readState(entryOf({ dn: 'cn=a', ...attributes }), now).state
  t.equal(
    read({ userAccountControl: '512', accountExpires: '9223372036854775807', pwdLastSet: '1' }),
    undefined,
  )
  t.equal(read({ userAccountControl: '512', accountExpires: '0' }), undefined)
  t.equal(read({ useraccountcontrol: '514' }), 'disabled')
  t.equal(read({ userAccountControl: '512', accountExpires: fileTime(now - 60_000) }), 'expired')
  t.equal(read({ userAccountControl: '512', accountExpires: fileTime(now + 60_000) }), undefined)
  t.equal(read({ userAccountControl: '512', pwdLastSet: '0' }), 'password_must_change')
  t.equal(read({ userAccountControl: '66048', pwdLastSet: '0' }), undefined, 'the password never expires')
  t.same(presets.openldap.readState(entryOf({ dn: 'cn=a' }), now), {})
})
