import fc from 'fast-check'
import t from 'tap'
import { checkPassword } from '../../src/authentication/password.ts'
import { Secret } from '../../src/authentication/secret.ts'
import {
  createUsernameNormaliser,
  type NormaliseUsername,
  type Realm,
} from '../../src/authentication/username.ts'
import { runs } from '../support/runs.ts'

const CORP = { netbios: 'CORP', suffixes: ['Corp.Example', 'example.com'] }
const normalise = createUsernameNormaliser([CORP, { netbios: 'LAB', suffixes: [] }])

function textOf(raw: string, how: NormaliseUsername = normalise): string {
  const result = how(raw)
  if (!result.ok) throw new Error(`${JSON.stringify(raw)} ${result.problem}`)
  return result.username.text
}

function problemOf(raw: unknown): string | undefined {
  const result = normalise(raw as string)
  return result.ok ? undefined : result.problem
}

/** A value as the name of an assertion: a line separator or an escape in it would confuse TAP. */
function named(raw: unknown): string {
  return (JSON.stringify(raw) ?? String(raw))
    .slice(0, 40)
    .replace(/[^ -~]/g, c => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** Any string at all, often near the traps: separators, blanks, marks, ignorables and letters with odd cases. */
const anyName = fc.string({
  maxLength: 40,
  unit: fc.oneof(
    { weight: 4, arbitrary: fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }) },
    { weight: 2, arbitrary: fc.constantFrom(...'aAiIıİßẞσςΣſKǅﬁﷺᾼΐͅ') },
    { weight: 2, arbitrary: fc.constantFrom('\\', '@', '＠', '＼', ' ', '\u00a0', '\u3000', '\u1680') },
    { weight: 2, arbitrary: fc.constantFrom('\u0307', '\u0301', '\u0323', '\u00ad', '\u200d', '\ufe0f') },
    { weight: 1, arbitrary: fc.constantFrom('corp', 'LAB', 'example.com', 'CORP.EXAMPLE') },
    { weight: 1, arbitrary: fc.constantFrom('\u0000', '\u202e', '\u2028', '\ud800', '\udc00', '\ufffd') },
  ),
})

t.test('a normalised name normalises to itself, and nothing ever throws', async t => {
  fc.assert(
    fc.property(anyName, raw => {
      const first = normalise(raw)
      if (!first.ok) return first.problem.length > 0
      const { text, user, domain } = first.username
      const again = normalise(text)
      return (
        again.ok &&
        again.username.text === text &&
        again.username.user === user &&
        (again.username.domain === undefined) === (domain === undefined) &&
        text === (domain === undefined ? user : `${user}@${again.username.domain}`)
      )
    }),
    { numRuns: runs(5_000) },
  )
  t.pass()
})

/** All characters that case, compatibility or dropping could change, alone or before a mark. */
const changing: readonly string[] = Array.from({ length: 0x110000 }, (_, code) => code)
  .filter(code => code < 0xd800 || code > 0xdfff)
  .map(code => String.fromCodePoint(code))
  .filter(c => /\p{Changes_When_NFKC_Casefolded}|\p{Changes_When_Casemapped}|\p{M}/u.test(c))

t.test('every changing character of Unicode settles, alone and between others', async t => {
  const unsettled = changing.filter(c => {
    const first = normalise(`i${c}\u0307`)
    return first.ok
      ? textOf(first.username.text) !== first.username.text
      : !/control|line/.test(first.problem)
  })
  t.strictSame(unsettled, [])
  t.ok(changing.length > 10_000)
})

t.test('letters meet exactly where Unicode simple case folding says so', async t => {
  const differing = changing.flatMap(letter =>
    [letter.toUpperCase(), letter.toLowerCase()].filter(form => {
      // A mark here: see username.ts.
      if (letter === '\u0345' || form === '\u0345') return false
      if (form === letter || Array.from(form).length > 1) return false
      // A letter that NFKC replaces is another matter.
      if (letter.normalize('NFKC') !== letter || form.normalize('NFKC') !== form) return false
      // The engine's own table: `iu` compares by simple case folding.
      const code = (letter.codePointAt(0) ?? 0).toString(16)
      return new RegExp(`^\\u{${code}}$`, 'iu').test(form) !== (textOf(letter) === textOf(form))
    }),
  )
  t.strictSame(differing, [])
})

t.test('names that differ only in case, width or blanks are one name', async t => {
  const ascii = fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 30 })
  const wide = (text: string) =>
    text
      .replace(/[!-~]/g, c => String.fromCodePoint((c.codePointAt(0) ?? 0) + 0xfee0))
      .replace(/ /g, '\u3000')
  fc.assert(
    fc.property(ascii, name => {
      fc.pre(normalise(name).ok)
      const text = textOf(name)
      return [
        name.toUpperCase(),
        name.toLowerCase(),
        wide(name),
        ` \u00a0${name}\u2003 `,
        name.replaceAll(' ', ' \u205f '),
        Array.from(name).join('\u00ad'),
      ].every(spelling => textOf(spelling) === text)
    }),
  )
  t.pass()
})

t.test(
  'names that differ only in the case of a letter are one name, whatever marks stand around it',
  async t => {
    const marks = fc.array(
      fc.constantFrom('\u0307', '\u0301', '\u0316', '\u0323', '\u0345', '\u0734', '\u00ad'),
      {
        maxLength: 3,
      },
    )
    // ı stays apart from its capital, which is that of i as well; ß has a capital of two letters.
    const letter = fc.oneof(
      fc.constantFrom('i', 'ї', 'j', 'å', 'σ', 'α', 's', 'ǆ'),
      fc
        .constantFrom(...changing)
        .filter(c => /^\p{Ll}$/u.test(c) && c !== 'ı' && Array.from(c.toUpperCase()).length === 1),
    )
    fc.assert(
      fc.property(letter, marks, marks, (small, before, after) => {
        const [first, rest] = [`x${before.join('')}`, after.join('')]
        return textOf(first + small + rest) === textOf(first + small.toUpperCase() + rest)
      }),
      { numRuns: runs(2_000) },
    )
    t.pass()
  },
)

t.test('two ASCII names that differ in more than case and blanks never meet', async t => {
  const plain = createUsernameNormaliser([])
  const ascii = fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 6 })
  const likely = fc.string({
    unit: fc.constantFrom('a', 'A', 'i', 'I', 's', 'S', ' ', '.'),
    minLength: 1,
    maxLength: 4,
  })
  const expected = (name: string) => name.toLowerCase().replace(/ +/g, ' ').trim()
  fc.assert(
    fc.property(fc.oneof(ascii, likely), name => {
      const result = plain(name)
      return result.ok ? result.username.text === expected(name) : expected(name) === ''
    }),
    { numRuns: runs(2_000) },
  )
  t.pass()
})

t.test('known traps', async t => {
  const traps: readonly (readonly [why: string, raw: string, text: string])[] = [
    ['ligature', 'ﬁn', 'fin'],
    ['Kelvin sign', '\u212aelvin', 'kelvin'],
    ['Ångström sign', '\u212bsa', 'åsa'],
    ['long s', 'ſam', 'sam'],
    ['dotless i stays', 'ışık', 'ışık'],
    ['dotless i is no i (CVE-2019-19844)', 'mıke', 'mıke'],
    ['I is i in every locale (CVE-2024-38829)', 'MIKE', 'mike'],
    ['İ is i', 'ALİ', 'ali'],
    ['i with a dot on top is i', 'ali\u0307', 'ali'],
    ['I and combining dot is i', 'ALI\u0307', 'ali'],
    ['I and combining dot behind another mark is i', 'ALI\u0316\u0307', 'ali\u0316'],
    ['i and combining dot behind another mark is i', 'ali\u0316\u0307', 'ali\u0316'],
    ['İ before another mark is i', 'ALİ\u0316', 'ali\u0316'],
    ['ß stays', 'Straße', 'straße'],
    ['ẞ is ß', 'STRAẞE', 'straße'],
    ['ss is not ß', 'STRASSE', 'strasse'],
    ['final sigma', 'ΝΊΚΟΣ', 'νίκος'],
    ['a sigma in the wrong place', 'νίκοσ', 'νίκος'],
    ['a final sigma in the middle', 'ςίμος', 'σίμος'],
    ['fullwidth', 'ＡＬＩＣＥ', 'alice'],
    ['fullwidth @', 'alice＠example.com', 'alice@corp.example'],
    ['fullwidth backslash', 'corp＼alice', 'alice@corp.example'],
    ['soft hyphen', 'al\u00adice', 'alice'],
    ['zero-width space, joiner, word joiner, BOM', '\ufeffa\u200bl\u200di\u2060ce', 'alice'],
    ['Hangul filler', 'ali\u3164ce', 'alice'],
    ['tag characters', 'alice\u{e0061}', 'alice'],
    ['combining order', 'a\u0323\u0307', 'ạ̇'.normalize('NFC')],
    ['the other combining order', 'a\u0307\u0323', 'ạ̇'.normalize('NFC')],
    ['decomposed', 'Jose\u0301', 'josé'],
    ['a mark after something ignorable', 'jose\u00ad\u0301', 'josé'],
    ['no-break and ideographic space', '\u00a0 alice\u3000\u3000liddell ', 'alice liddell'],
    ['Ogham space', 'alice\u1680liddell', 'alice liddell'],
    ['replacement character is a character', '\ufffd', '\ufffd'],
    ['capital of the iota', 'ᾼ', 'ᾳ'],
    ['accents and an iota below', 'Α\u0345\u0301', 'ᾴ'],
    ['Georgian capital', 'Ა', 'ა'],
    ['beyond the basic plane', '𐐀', '𐐨'],
    ['mathematical letters', '𝐀𝓵𝔦𝖈𝚎', 'alice'],
    ['circled letters', 'Ⓐⓛⓘⓒⓔ', 'alice'],
    ['an LDAP filter is just a name', '*)(UID=*', '*)(uid=*'],
    ['a property of every object is just a name', '__PROTO__', '__proto__'],
  ]
  for (const [why, raw, text] of traps) t.equal(textOf(raw), text, why)
})

t.test('what cannot be a name is refused, before any Unicode work where it is long', async t => {
  const refused: readonly (readonly [raw: unknown, problem: RegExp])[] = [
    ['', /empty/],
    ['  \u3000', /empty/],
    ['\u00ad\u200b', /empty/],
    ['a\u0000', /control/],
    ['\u0000', /control/],
    ['a\tb', /control/],
    ['a\r\nb', /control/],
    ['a\u001b[2J', /control/],
    ['a\u007f', /control/],
    ['a\u0085', /control/],
    ['a\u202eb', /bidirectional/],
    ['a\u200fb', /bidirectional/],
    ['a\u2066b', /bidirectional/],
    ['a\u061cb', /bidirectional/],
    ['a\u2028b', /line separator/],
    ['a\u2029b', /line separator/],
    ['a\ud800b', /well-formed/],
    ['\udc00\ud800', /well-formed/],
    ['a'.repeat(257), /longer/],
    ['é'.repeat(257), /longer/],
    ['𐐨'.repeat(257), /longer/],
    ['a'.repeat(10_000_000), /longer/],
    ['ﷺ'.repeat(256), /longer/],
    [`corp\\${'a'.repeat(250)}`, /longer/],
    ['CORP\\', /no name/],
    [' @example.com', /no name/],
    [undefined, /not a string/],
    [['alice'], /not a string/],
    [{ toString: () => 'alice' }, /not a string/],
  ]
  for (const [raw, problem] of refused) t.match(problemOf(raw), problem, named(raw))
})

t.test('the longest names that fit are taken', async t => {
  t.equal(textOf('A'.repeat(256)).length, 256)
  t.equal(textOf('𐐀'.repeat(256)), '𐐨'.repeat(256), '256 characters of 4 bytes')
})

t.test('every form of a known domain is one name', async t => {
  for (const form of [
    'CORP\\alice',
    'corp\\ALICE',
    ' Corp \\ Alice ',
    'alice@corp.example',
    'ALICE@EXAMPLE.COM',
    'alice @ corp',
    'corp.example\\alice',
  ]) {
    const normalised = normalise(form)
    t.match(normalised, { ok: true, username: { text: 'alice@corp.example', user: 'alice' } }, form)
    const { typed, domain } = normalised.ok ? normalised.username : {}
    t.equal(typed, form.toLowerCase().trim(), 'as typed, for a look-up by the whole of it')
    t.equal(domain, form.toLowerCase().replaceAll(/ |alice|[\\@]/g, ''), 'as typed, too')
  }
  t.equal(textOf('lab\\bob'), 'bob@lab', 'a realm without suffixes is named by its down-level name')
})

t.test('an unknown domain, and a name with two separators, is just a name', async t => {
  for (const name of [
    'other\\alice',
    'alice@other.example',
    '\\alice',
    'alice@',
    'corp\\alice@corp.example',
    'a@b@corp',
  ]) {
    t.strictSame(normalise(name), { ok: true, username: { text: name, typed: name, user: name } }, name)
  }
})

t.test('a name of two realms: which of them is meant decides who is asked and what is counted', async t => {
  const read = (realms: Realm[], name: string) => {
    const result = createUsernameNormaliser(realms)(name)
    return result.ok && [result.username.text, result.username.user, result.username.domain]
  }
  const A = { netbios: 'A', suffixes: ['mail.example', 'a.example'] }
  const B = { netbios: 'B', suffixes: ['Mail.Example', 'b.example'] }
  for (const [realms, own] of [
    [[A, B], 'b.example'],
    [[B, A], 'b.example'],
    [
      [
        { netbios: 'A', suffixes: ['mail.example'] },
        { netbios: 'B', suffixes: ['mail.example'] },
      ],
      'b',
    ],
    [[A, { netbios: 'B', suffixes: ['mail.example'] }], 'b'],
    [[{ suffixes: ['mail.example'] }, B], 'b.example'],
  ] as const) {
    const of = (name: string) => read([...realms], name)
    t.strictSame(of('B\\x'), [`x@${own}`, 'x', 'b'], 'a down-level name is one realm’s')
    t.strictSame(
      of('x@MAIL.example'),
      ['x@mail.example', 'x@mail.example', 'mail.example'],
      'a shared one is not',
    )
  }
  t.strictSame(read([A, B], 'x@b.example'), ['x@b.example', 'x', 'b.example'])

  const half = { netbios: 'A', suffixes: [] }
  const one = { netbios: 'A', suffixes: ['a.example'] }
  for (const realms of [
    [one, one],
    [one, half],
    [half, one],
    [one, { netbios: 'a', suffixes: ['alt.example', 'a.example'] }],
  ]) {
    for (const name of ['A\\x', 'x@a.example']) {
      t.match(read(realms, name), ['x@a.example', 'x'], 'several backends on one domain')
    }
  }
  const open = { suffixes: ['a.example'] }
  t.strictSame(read([open, open], 'x@a.example'), ['x@a.example', 'x', 'a.example'])
})

t.test('realms that cannot work stop the start', async t => {
  const twice = [CORP, { netbios: 'corp', suffixes: ['other.example'] }]
  t.throws(
    () => createUsernameNormaliser(twice),
    /corp belongs to two realms, corp.example and other.example/,
  )
  t.throws(() => createUsernameNormaliser([CORP, { suffixes: ['corp'] }]), /corp belongs to two realms/)
  t.throws(() => createUsernameNormaliser([{ suffixes: ['a@b'] }]), /cannot be "a@b"/)
  t.throws(() => createUsernameNormaliser([{ suffixes: [' '] }]), /cannot be " "/)
  t.doesNotThrow(() => createUsernameNormaliser([{ suffixes: [] }]))
})

t.test('a password is judged as received and never altered', async t => {
  const check = (raw: unknown) => {
    const result = checkPassword(new Secret(raw as string))
    return result.ok ? 'ok' : result.problem
  }
  for (const right of [
    ' a ',
    'Ａ',
    'ſ\u00ad',
    'p\u0085w',
    '\u202e1',
    'x'.repeat(1024),
    '𝄞'.repeat(256),
    '"\\',
  ]) {
    t.equal(check(right), 'ok', named(right))
  }
  t.match(check(''), /empty/)
  t.match(check('x'.repeat(1025)), /longer than 1024 bytes/)
  t.match(check('é'.repeat(513)), /longer/)
  t.match(check('a\u0000'), /control/)
  t.match(check('\u0000a'), /control/)
  t.match(check('a\n'), /control/)
  t.match(check('a\u007f'), /control/)
  t.match(check('a\ud800'), /well-formed/)
  for (const blank of [' ', '\u3000\u00a0', '\u00ad\u200b', '\u2028', '\ufeff', '\ufe0f', '\u0085']) {
    t.match(check(blank), /blank/, named(blank))
  }
  t.match(check(undefined), /not a string/)
  t.match(check(['a']), /not a string/)
})
