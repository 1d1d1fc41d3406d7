/** Every LDAP result code, from a real slapd: its retcode overlay answers whatever it is told to (slapo-retcode(5)). */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Secret } from '../../../src/authentication/secret.ts'
import type { LdapOptions } from '../../../src/backends/ldap/options.ts'
import { createCertificateAuthority } from '../../support/certificate-authority.ts'
import { type CountedCore, openCore } from '../../support/counted-core.ts'
import { bindResponse, searchDone } from '../../support/ldap-message.ts'
import { startLdapServer } from '../../support/ldap-server.ts'
import { startSlapd } from '../../support/slapd.ts'
import { ldapOptions, openDesk, slapdOptions, tlsOptions } from './ldap-login.ts'

const CODES = Array.from({ length: 124 }, (_, code) => code)
/** slapd itself falls over on LDAPv2's partialResults (an assertion in its result.c): a scripted server gives that one. */
const NOT_FROM_SLAPD = 9
/** The account or the way it binds is refused, which another try does not change (chain.md, Retry rules). */
const REFUSALS = [7, 8, 13, 14, 19, 32, 34, 48, 49, 50, 53]

const parent = 'ou=retcodes,dc=corp,dc=example'
const service = { dn: 'cn=gatehouse,ou=services,dc=corp,dc=example', password: 'gatehouse-secret-1' }
/** Bound to, uid=b51 answers 51; searched below, uid=s51 does. What follows has its own way to be out of order. */
const SPECIAL = {
  notice: '52 op=bind unsolicited=1.3.6.1.4.1.1466.20036',
  hangup: '0 op=bind flags=pre-disconnect',
  'yes-and-gone': '0 op=bind flags=post-disconnect',
  'no-and-gone': '49 op=bind flags=post-disconnect',
  slow: '0 op=bind sleeptime=1',
}

const folder = t.testdir()
const slapd = await startSlapd(t, {
  ldif: writeLdif(),
  serverConfig: 'moduleload retcode',
  databaseConfig: retcodes(),
})

function retcodes(): string {
  const items = CODES.filter(code => code !== NOT_FROM_SLAPD).flatMap(code => {
    const answer = `${code} text="the text of ${code}"${code === 10 ? ' ref=ldap://127.0.0.1:1' : ''}`
    return [`"uid=b${code}" ${answer} op=bind`, `"uid=s${code}" ${answer} op=search`]
  })
  const special = Object.entries(SPECIAL).map(([uid, answer]) => `"uid=${uid}" ${answer}`)
  return [
    'overlay retcode',
    `retcode-parent "${parent}"`,
    ...[...items, ...special].map(item => `retcode-item ${item}`),
  ].join('\n')
}

/** The same names as real entries, so that the search from above finds whom the overlay then answers for. */
function writeLdif(): string {
  const file = join(folder, 'retcodes.ldif')
  const corp = readFileSync(new URL('../../../fixtures/ldap/corp.ldif', import.meta.url), 'utf8')
  const people = [...CODES.map(code => `b${code}`), ...Object.keys(SPECIAL)].map(
    uid => `dn: uid=${uid},${parent}\nobjectClass: inetOrgPerson\nuid: ${uid}\ncn: ${uid}\nsn: ${uid}\n`,
  )
  const unit = `dn: ${parent}\nobjectClass: organizationalUnit\nou: retcodes\n`
  writeFileSync(file, [corp, unit, ...people].join('\n'))
  return file
}

type Scope = Parameters<typeof openDesk>[0]

/** One backend of its own for each code: what a code does to a connection or a server must not touch the next one. */
async function stage(t: Scope, changes: Partial<LdapOptions> = {}) {
  const desk = await openDesk(t, slapdOptions(slapd, changes))
  return { desk, core: openCore([desk.backend]) }
}

/** More outages than the lockout allows failures: were one of them charged, the sixth would be locked out. */
async function chargesOfOutages(core: CountedCore, name: string): Promise<number | string> {
  for (let attempt = 1; attempt <= 6; attempt++) {
    const { verdict } = await core.ask(name, `wrong ${attempt}`)
    if (verdict !== 'unavailable') return verdict
  }
  return core.charged()
}

/** One look at the log for all: it waits for answers that slapd owes, and some codes keep it from giving one. */
async function bindsPerCode(): Promise<number[]> {
  const counts = new Map<string, number>()
  for (const { dn } of await slapd.binds()) counts.set(dn, (counts.get(dn) ?? 0) + 1)
  return CODES.map(code => counts.get(`uid=b${code},${parent}`) ?? 0)
}

const bindsAs = async (dn: string) => (await slapd.binds()).filter(bind => bind.dn === dn).length

t.test("a user's bind: 0 lets in, 49 refuses, and every other code is an outage nobody pays for", async t => {
  const seen: Record<string, number[]> = {}
  for (const code of CODES) {
    if (code === NOT_FROM_SLAPD) continue
    const { desk, core } = await stage(t)
    const outcome = await desk.login(`b${code}`, 'whatever')
    seen[outcome.outcome] = [...(seen[outcome.outcome] ?? []), code]
    if (outcome.outcome === 'unavailable') {
      t.match(outcome, { phase: 'bind', credentialSent: true }, `${code}`)
      t.match(outcome.cause, new RegExp(`result ${code} \\(.*"the text of ${code}`))
      t.equal(await chargesOfOutages(core, `b${code}`), 0, `${code} moves no counter`)
    }
    await desk.backend.close()
  }
  t.strictSame([seen.accept, seen.wrong_password], [[0], [49]])
  t.ok(
    (await bindsPerCode()).every(count => count <= 7),
    'one bind per attempt at most',
  )
  t.equal(seen.unavailable?.length, 121)
})

t.test(
  "the service account's bind: no code is the user's fault, and a refusal is not tried again",
  async t => {
    const refused: number[] = []
    const before = await bindsPerCode()
    for (const code of CODES) {
      if (code === NOT_FROM_SLAPD) continue
      const dn = `uid=b${code},${parent}`
      const { desk, core } = await stage(t, {
        bind: { method: 'simple', dn, password: new Secret('whatever') },
      })
      const outcome = await desk.login('alice', 'alice-secret-1')
      // slapd says yes to b0 and still lets it read nothing.
      const phase = code === 0 ? 'search' : 'service_bind'
      t.match(outcome, { outcome: 'unavailable', phase, credentialSent: false }, `${code}`)
      if (desk.log.at('fatal').length > 0) refused.push(code)
      t.equal(await chargesOfOutages(core, 'alice'), 0, `${code} moves no counter`)
      await desk.backend.close()
    }
    t.strictSame(refused, REFUSALS, 'one alarm at level fatal')
    const after = await bindsPerCode()
    for (const code of REFUSALS) t.equal(after[code], (before[code] ?? 0) + 1, `${code} is sent once`)
    t.equal(await bindsAs('uid=alice,ou=people,dc=corp,dc=example'), 0)
  },
)

t.test(
  'a search: 0 finds nobody here, 4 too many, and every other code is an outage before any bind',
  async t => {
    const seen: Record<string, number[]> = {}
    for (const code of CODES) {
      if (code === NOT_FROM_SLAPD) continue
      const { desk, core } = await stage(t, { base_dn: `uid=s${code},${parent}` })
      const outcome = await desk.login('alice', 'alice-secret-1')
      seen[outcome.outcome] = [...(seen[outcome.outcome] ?? []), code]
      if (outcome.outcome === 'unavailable') {
        t.match(outcome, { phase: 'search', credentialSent: false }, `${code}`)
        t.match(outcome.cause, new RegExp(`result ${code} \\(`))
        t.equal(await chargesOfOutages(core, 'alice'), 0, `${code} moves no counter`)
      }
      await desk.backend.close()
    }
    t.strictSame([seen.unknown_user, seen.ambiguous], [[0], [4]])
    t.equal(seen.unavailable?.length, 121)
    t.equal(await bindsAs('uid=alice,ou=people,dc=corp,dc=example'), 0)
  },
)

t.test(`result ${NOT_FROM_SLAPD}, which no current server gives, is an outage at each place`, async t => {
  const authority = await createCertificateAuthority(join(folder, 'ca'))
  const certificate = await authority.issue()
  for (const place of ['service', 'search', 'user'] as const) {
    const server = await startLdapServer(t, {
      certificate,
      implicitTls: true,
      directory: [
        { ...service, attributes: {} },
        {
          dn: 'uid=alice,dc=corp,dc=example',
          password: 'alice-secret-1',
          attributes: { uid: 'alice', entryUUID: '7b14222a-7bbc-1041-92f6-dfaea8ca88bd' },
        },
      ],
      onRequest({ id, operation }, connection) {
        const who = operation.type === 'bind' && (operation.dn === service.dn ? 'service' : 'user')
        if (place === who) return connection.send(bindResponse(id, { code: NOT_FROM_SLAPD }))
        if (place === 'search' && operation.type === 'search')
          return connection.send(searchDone(id, { code: NOT_FROM_SLAPD }))
        return connection.behave({ id, operation, bytes: Buffer.alloc(0) })
      },
    })
    const options = ldapOptions({ urls: [server.url], tls: tlsOptions({ ca_file: authority.caFile }) })
    const desk = await openDesk(t, options)
    const phase = { service: 'service_bind', search: 'search', user: 'bind' }[place]
    t.match(await desk.login('alice', 'alice-secret-1'), { outcome: 'unavailable', phase }, place)
  }
})

t.test(
  'a notice of disconnection instead of an answer is an outage, and the bind is not sent again',
  async t => {
    const { desk } = await stage(t)
    for (const uid of ['notice', 'hangup']) {
      t.match(
        await desk.login(uid, 'x'),
        { outcome: 'unavailable', phase: 'bind', credentialSent: true },
        uid,
      )
      t.equal(await bindsAs(`uid=${uid},${parent}`), 1, `${uid}: sent once`)
    }
    t.match(
      await desk.login('alice', 'alice-secret-1'),
      { outcome: 'accept' },
      'the next one notices nothing',
    )
  },
)

t.test('an answer is an answer, also when the server hangs up right behind it', async t => {
  for (let round = 1; round <= 20; round++) {
    for (const [uid, outcome] of [
      ['yes-and-gone', 'accept'],
      ['no-and-gone', 'wrong_password'],
    ] as const) {
      // Connections of its own: a bind written before the hang-up of the last one is seen would rightly be an outage.
      const { desk } = await stage(t)
      t.match(await desk.login(uid, 'x'), { outcome }, uid)
      await desk.backend.close()
    }
  }
})

t.test('a yes that comes after the time is up lets nobody in, also not the next one', async t => {
  const { desk } = await stage(t, {
    operation_timeout: 300,
    pool: { ...ldapOptions({ urls: [] }).pool, bind: 1 },
  })
  const started = performance.now()
  t.match(await desk.login('slow', 'x'), { outcome: 'unavailable', phase: 'bind', credentialSent: true })
  t.ok(performance.now() - started < 1_000, 'in time')
  t.match(await desk.login('alice', 'wrong'), { outcome: 'wrong_password' })
})
