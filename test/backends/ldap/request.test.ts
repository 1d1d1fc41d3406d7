/**
 * What we write and read ourselves, held against ldapts 9.2, which is the reference here: the same octets for every request, and
 * the same understanding of every answer that is well-formed.
 */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  AndFilter,
  ApproximateFilter,
  BerWriter,
  BindRequest,
  EqualityFilter,
  ExtendedRequest,
  ExtensibleFilter,
  type Filter,
  GreaterThanEqualsFilter,
  LessThanEqualsFilter,
  NotFilter,
  OrFilter,
  PagedResultsControl,
  PasswordPolicyControl,
  PresenceFilter,
  SearchRequest,
  SubstringFilter,
  UnbindRequest,
} from 'ldapts'
import t from 'tap'
import { Secret } from '../../../src/authentication/secret.ts'
import { MalformedMessage } from '../../../src/backends/ldap/wire/ber.ts'
import { createFraming } from '../../../src/backends/ldap/wire/framing.ts'
import { readResponse } from '../../../src/backends/ldap/wire/message.ts'
import { pageControl, readCookie } from '../../../src/backends/ldap/wire/paging.ts'
import { ASK_POLICY, readPolicy } from '../../../src/backends/ldap/wire/policy.ts'
import {
  type AskedSearch,
  bindRequest,
  extendedRequest,
  externalBindRequest,
  searchRequest,
  unbindRequest,
} from '../../../src/backends/ldap/wire/request.ts'
import { bindResponse, searchDone, searchEntry, searchReference } from '../../support/ldap-message.ts'
import { runs } from '../../support/runs.ts'

const id = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 2 ** 31 - 1 }))
const count = fc.oneof(fc.nat(300), fc.nat(2 ** 31 - 1))
/** Lengths around those that take one more octet to tell, and characters of every size, halves of pairs among them. */
const text = fc.oneof(
  fc.string({ maxLength: 20, unit: 'binary' }),
  fc.constantFrom(0, 126, 127, 128, 255, 256, 1_100).map(length => 'x'.repeat(length)),
  fc.constantFrom('\ud800', 'jürgen', '✓'.repeat(100), '\0', '*()\\'),
)
const attribute = fc.constantFrom('uid', 'memberOf', 'cn;lang-de', '1.2.840.113556.1.4.803')
const octets = fc.uint8Array({ maxLength: 200 }).map(value => Buffer.from(value))

const { filter } = fc.letrec<{ filter: Filter; leaf: Filter; many: Filter[] }>(tie => ({
  filter: fc.oneof(
    { maxDepth: 4 },
    tie('leaf'),
    tie('many').map(filters => new AndFilter({ filters })),
    tie('many').map(filters => new OrFilter({ filters })),
    tie('filter').map(filter => new NotFilter({ filter })),
  ),
  many: fc.array(tie('filter'), { maxLength: 4 }),
  leaf: fc.oneof(
    fc.record({ attribute, value: fc.oneof(text, octets) }).map(parts => new EqualityFilter(parts)),
    attribute.map(attribute => new PresenceFilter({ attribute })),
    fc
      .record({ matchType: text, rule: text, value: text, dnAttributes: fc.boolean() })
      .map(parts => new ExtensibleFilter(parts)),
    fc
      .record({ attribute, initial: text, any: fc.array(text, { maxLength: 3 }), final: text })
      .map(parts => new SubstringFilter(parts)),
    fc.record({ attribute, value: text }).map(parts => new GreaterThanEqualsFilter(parts)),
    fc.record({ attribute, value: text }).map(parts => new LessThanEqualsFilter(parts)),
    fc.record({ attribute, value: text }).map(parts => new ApproximateFilter(parts)),
  ),
}))

t.test('every search is written as ldapts writes it, with or without a page', async t => {
  const search = fc.record({
    base: text,
    scope: fc.constantFrom('base' as const, 'sub' as const),
    filter,
    attributes: fc.array(attribute, { maxLength: 12 }),
    sizeLimit: count,
  })
  const page = fc.option(fc.record({ size: count, cookie: fc.option(octets, { nil: undefined }) }), {
    nil: undefined,
  })
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(id, search, count, page, (messageId, { base: baseDN, ...search }, timeLimit, page) => {
        const value = page && { size: page.size, ...(page.cookie && { cookie: page.cookie }) }
        const controls = value ? [new PagedResultsControl({ value })] : []
        const reference = new SearchRequest({ messageId, baseDN, ...search, timeLimit, controls }).write()
        const control = page && pageControl(page.size, page.cookie)
        const ask = () => searchRequest(messageId, { base: baseDN, ...search }, timeLimit, control)
        assert.deepEqual(ask(), reference)
        // Its attributes are known by now.
        assert.deepEqual(ask(), reference)
      }),
      { numRuns: runs(400) },
    ),
  )
})

t.test('every bind is written as ldapts writes it, and so is all else that is asked', async t => {
  const password = fc.string({ minLength: 1, maxLength: 300 })
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(id, text, password, fc.boolean(), (messageId, dn, password, policy) => {
        const controls = policy ? [new PasswordPolicyControl()] : []
        assert.deepEqual(
          bindRequest(messageId, dn, new Secret(password), policy ? ASK_POLICY : undefined),
          new BindRequest({ messageId, dn, password, controls }).write(),
        )
        assert.deepEqual(
          externalBindRequest(messageId),
          new BindRequest({ messageId, mechanism: 'EXTERNAL' }).write(),
        )
        assert.deepEqual(unbindRequest(messageId), new UnbindRequest({ messageId }).write())
        assert.deepEqual(
          extendedRequest(messageId, '1.3.6.1.4.1.1466.20037'),
          new ExtendedRequest({ messageId, oid: '1.3.6.1.4.1.1466.20037' }).write(),
        )
      }),
      { numRuns: runs(300) },
    ),
  )
})

t.test('a name of a megabyte is written whole, and the next message is as short as ever', async t => {
  const search = {
    scope: 'sub' as const,
    filter: new PresenceFilter({ attribute: 'a' }),
    attributes: ['1.1'],
    sizeLimit: 1,
  } satisfies Partial<AskedSearch>
  for (const baseDN of ['x'.repeat(1_000_000), 'dc=corp']) {
    t.same(
      searchRequest(7, { ...search, base: baseDN }, 1),
      new SearchRequest({ messageId: 7, baseDN, ...search, timeLimit: 1 }).write(),
    )
  }
})

const answer = fc.oneof(
  fc
    .record({ id, code: count, diagnosticMessage: fc.string({ maxLength: 200 }) })
    .map(({ id, ...result }) => bindResponse(id, result)),
  fc.record({ id, code: count }).map(({ id, code }) => searchDone(id, { code })),
  fc
    .record({ id, uris: fc.array(fc.string(), { maxLength: 3 }) })
    .map(({ id, uris }) => searchReference(id, uris)),
  fc
    .record({
      id,
      dn: fc.string({ maxLength: 300 }),
      attributes: fc.dictionary(
        fc.constantFrom('uid', 'cn', 'jpegPhoto'),
        fc.array(octets, { maxLength: 4 }),
      ),
    })
    .map(({ id, dn, attributes }) => searchEntry(id, dn, attributes)),
)

t.test('every result is read as ldapts wrote it', async t => {
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(id, count, fc.string({ maxLength: 300 }), (id, code, said) => {
        for (const [tag, to] of [
          [0x61, 'bind'],
          [0x65, 'search'],
          [0x78, 'extended'],
        ] as const) {
          const writer = new BerWriter()
          writer.startSequence()
          writer.writeInt(id)
          writer.startSequence(tag)
          writer.writeEnumeration(code)
          writer.writeString('dc=matched')
          writer.writeString(said)
          writer.endSequence()
          writer.startSequence(0xa0)
          const cookie = Buffer.from(said)
          new PagedResultsControl({ value: { size: code, cookie } }).write(writer)
          new PasswordPolicyControl({ value: { error: 1 } }).write(writer)
          writer.endSequence()
          writer.endSequence()
          const read = readResponse(writer.buffer)
          assert.equal(read.id, id)
          assert.equal(read.to, to)
          assert.equal(read.result?.code, code)
          assert.equal(read.result?.message, Buffer.from(said).toString('utf8', 0, 1_000))
          assert.deepEqual(readCookie(read.result?.controls ?? new Map()), said === '' ? undefined : cookie)
          assert.deepEqual(readPolicy(read.result?.controls ?? new Map()), { error: 'account_locked' })
        }
      }),
      { numRuns: runs(200) },
    ),
  )
})

t.test(
  'an answer comes through whole in whatever pieces, and broken ones are read, refused or waited for',
  async t => {
    const damage = fc.record({
      messages: fc.array(answer, { minLength: 1, maxLength: 3 }),
      cuts: fc.array(fc.nat(), { maxLength: 6 }),
      flips: fc.array(fc.record({ at: fc.nat(), bit: fc.nat(7) }), { maxLength: 2 }),
      missing: fc.constantFrom(0, 0, 1, 5),
    })
    const seen = { whole: 0, waiting: 0, refused: 0 }
    fc.assert(
      fc.property(damage, ({ messages, cuts, flips, missing }) => {
        const all = Buffer.concat(messages)
        const flipped = Buffer.from(all.subarray(0, all.length - missing))
        for (const { at, bit } of flips) {
          const place = at % flipped.length
          flipped.writeUInt8(flipped.readUInt8(place) ^ (1 << bit), place)
        }
        const taken: Buffer[] = []
        const framing = createFraming(4_000_000, message => {
          readResponse(message)
          taken.push(Buffer.from(message))
        })
        const places = [0, ...cuts.map(cut => cut % flipped.length), flipped.length].sort((a, b) => a - b)
        try {
          for (let piece = 1; piece < places.length; piece++) {
            framing.push(flipped.subarray(places[piece - 1], places[piece]))
          }
          const left = framing.pending
          assert.equal(Buffer.concat(taken).length + left, flipped.length, 'nothing is lost')
          if (flips.length === 0 && missing === 0) assert.deepEqual(taken, messages)
          if (left > 0) seen.waiting++
          else seen.whole++
        } catch (error) {
          if (!(error instanceof MalformedMessage)) throw error
          assert.ok(flips.length > 0, 'what is whole is never refused')
          seen.refused++
        }
      }),
      { numRuns: runs(1_500) },
    )
    for (const [what, times] of Object.entries(seen)) t.ok(times > 50, `${what}: ${times}`)
  },
)
