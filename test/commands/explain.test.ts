/** `gatehouse explain` as operators run it: a process of its own, beside a daemon or without one. */
import { once } from 'node:events'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { PresentedExplanation } from '../../src/http/explanation.ts'
import { corpPeople } from '../support/corp.ts'
import { type Daemon, runCommand, startDaemon } from '../support/daemon.ts'
import { quietPort } from '../support/quiet-port.ts'
import { startSamba } from '../support/samba.ts'
import { sambaDomain, sambaPeople } from '../support/samba-people.ts'
import { corpBackend, startSlapd } from '../support/slapd.ts'

interface Desk {
  readonly cwd: string
  readonly config: string
  readonly daemon: () => Promise<Daemon>
  /** One command line; the answer of `--json`. */
  explain(...args: string[]): Promise<PresentedExplanation & { code: number }>
  /** Really tries. */
  attempt(user: string, password: string, ...args: string[]): Promise<PresentedExplanation & { code: number }>
  run(args: readonly string[], input?: string): Promise<{ code: number; stdout: string; stderr: string }>
}

function openDesk(t: Test, backends: readonly object[], rest: object = {}): Desk {
  const cwd = t.testdir()
  const config = join(cwd, 'gatehouse.yaml')
  const port = quietPort()
  writeFileSync(
    config,
    JSON.stringify({
      listen: { host: '127.0.0.1', port },
      admin: { host: '127.0.0.1', port: port + 1 },
      database: join(cwd, 'data', 'gatehouse.db'),
      log: { level: 'debug', format: 'json' },
      timing: { floor: '1ms', jitter: '1ms' },
      backends,
      ...rest,
    }),
    { mode: 0o600 },
  )
  const run: Desk['run'] = (args, input = '') =>
    runCommand(['explain', '--config', config, ...args], { cwd, input })
  const json = async (args: readonly string[], input?: string) => {
    const { code, stdout, stderr } = await run(['--json', ...args], input)
    if (stdout === '') throw new Error(stderr)
    return { ...JSON.parse(stdout), code }
  }
  return {
    cwd,
    config,
    daemon: () => startDaemon(t, { config, cwd }),
    explain: (...args) => json(args),
    attempt: (user, password, ...args) => json([user, '--password-stdin', ...args], `${password}\n`),
    run,
  }
}

const facts = (step: PresentedExplanation['steps'][number] | undefined) =>
  Object.fromEntries((step?.facts ?? []).map(({ what, value }) => [what, value]))

t.test(
  'with a daemon: accepted, wrong, unknown, ambiguous, skipped and locked out, each step by step',
  async t => {
    const slapd = await startSlapd(t)
    const wiki = { id: 'wiki', key_sha256: 'ab'.repeat(32), backends: ['local'] }
    const desk = openDesk(
      t,
      [
        { ...corpBackend(slapd), id: 'old', enabled: false },
        corpBackend(slapd, { on: { wrong_password: 'stop' }, groups: { roles: { 'cn=staff,*': 'member' } } }),
        { id: 'local', type: 'local' },
      ],
      { clients: [wiki], lockout: { max_attempts: 3 } },
    )
    const daemon = await desk.daemon()
    t.equal(statSync(join(desk.cwd, 'data', 'gatehouse.db.admin-token')).mode & 0o777, 0o600)
    const { alice } = corpPeople

    await t.test('a look sends no password and counts nothing', async t => {
      const binds = (await slapd.binds()).filter(({ dn }) => dn === alice.dn).length
      const seen = await desk.explain('Alice')
      t.match(seen, {
        mode: 'look',
        username: { text: 'alice' },
        lockout: { name: [{ key: 'pair', failures: 0, limit: 3 }] },
        verdict: 'depends_on_password',
        backend: 'corp',
        code: 0,
      })
      t.match(seen.steps, [
        { backend: 'old', outcome: 'skipped', detail: 'enabled: false' },
        { backend: 'corp', outcome: 'found', user: { username: 'alice' } },
        { backend: 'local', outcome: 'not_reached' },
      ])
      const said = facts(seen.steps[1])
      t.equal(said.filter, '(&(objectClass=inetOrgPerson)(uid=alice))')
      t.equal(said.found, alice.dn)
      t.match(
        seen.steps[1]?.facts
          .filter(({ what }) => what === 'group')
          .map(({ value }) => value)
          .join(),
        /staff/,
      )
      t.match(seen.steps[1]?.user?.groups, /staff/)
      t.equal((await slapd.binds()).filter(({ dn }) => dn === alice.dn).length, binds)
    })

    await t.test('the right password', async t => {
      const seen = await desk.attempt('alice', alice.password)
      t.match(seen, {
        mode: 'attempt',
        verdict: 'accepted',
        backend: 'corp',
        rule: 'on.accept: stop',
        code: 0,
      })
      t.equal(facts(seen.steps[1]).bind, 'result 0: the password is right')
      t.ok(seen.steps.every(({ ms = 0 }) => ms < 5_000))
    })

    await t.test('a wrong one is counted by the daemon, and said in its log, without it', async t => {
      const seen = await desk.attempt('alice', 'canary-5f2c', '--from', '192.0.2.9')
      t.match(seen, {
        verdict: 'rejected',
        backend: 'corp',
        rule: 'on.wrong_password: stop',
        lockout_after: { name: [{ failures: 1 }], source: [{ failures: 1 }] },
        code: 1,
      })
      t.equal(facts(seen.steps[1]).bind, 'result 49: wrong password')
      const line = await daemon.line(
        ({ event, source }) => event === 'authn_login_fail' && source === '192.0.2.9',
      )
      t.match(line, { client: 'admin', user: 'alice' })
      t.notMatch(JSON.stringify(daemon.lines) + daemon.stderr() + JSON.stringify(seen), 'canary-5f2c')
    })

    await t.test('nobody, and one name for two', async t => {
      t.match(await desk.explain('nobody'), {
        verdict: 'rejected',
        reason: 'no backend knows the name',
        steps: [{}, { outcome: 'unknown_user' }, { outcome: 'unknown_user' }],
        code: 1,
      })
      t.match(await desk.explain('twins@corp.example'), {
        verdict: 'rejected',
        backend: 'corp',
        rule: 'ambiguous always stops',
        steps: [{}, { outcome: 'ambiguous' }, { outcome: 'not_reached' }],
      })
    })

    await t.test('through the eyes of an app', async t => {
      const seen = await desk.explain('admin', '--client', 'wiki')
      t.match(seen.steps, [{}, { outcome: 'skipped', detail: 'not for this app' }, { outcome: 'found' }])
      const wrong = await desk.run(['admin', '--client', 'intranet'])
      t.equal(wrong.code, 1)
      t.match(wrong.stderr, /400 invalid_request: \/client no client has this id/)
    })

    await t.test('locked out here', async t => {
      for (let i = 0; i < 3; i++) await desk.attempt('bob', `wrong ${i}`)
      const seen = await desk.attempt('bob', corpPeople.bob.password)
      t.match(seen, { verdict: 'locked_out', lockout: { name: [{ locked_for_seconds: Number }] }, code: 1 })
      t.match(seen.steps, [{ outcome: 'skipped' }, { outcome: 'not_reached' }, { outcome: 'not_reached' }])
      t.match(await desk.explain('bob'), {
        verdict: 'locked_out',
        steps: [{}, { outcome: 'subject_locked', detail: /^for another \d+ s$/ }],
      })
      t.match(
        (await desk.explain('bob', '--from', '192.0.2.10')).verdict,
        'depends_on_password',
        'not from elsewhere',
      )
    })

    await t.test('for people', async t => {
      const { stdout, code } = await desk.run(['alice'])
      t.match(
        stdout,
        /^alice, from 127\.0\.0\.1: without a password: nothing is tried and nothing is counted\n {2}name {12}alice\n/,
      )
      t.match(stdout, /\n1 old \(ldap\) {2}skipped: enabled: false\n/)
      t.match(stdout, /\n2 corp \(ldap\) {2}found {2}[\d.]+ ms\n/)
      t.match(stdout, /\n {2}filter {10}\(&\(objectClass=inetOrgPerson\)/)
      t.match(
        stdout,
        /\n→ depends_on_password: with the right password this login is accepted \(corp, on\.accept: stop\)\n/,
      )
      // biome-ignore lint/suspicious/noControlCharactersInRegex: no colour into a pipe
      t.notMatch(stdout, /\u001b/)
      t.equal(code, 0)
    })

    await t.test('what cannot be tried says why', async t => {
      const empty = await desk.run(['alice', '--password-stdin'], '\n')
      t.match(empty, { code: 1, stderr: 'the password is empty\n' })
      const from = await desk.run(['alice', '--from', 'here'])
      t.match(from, { code: 2, stderr: '--from here is not an address\n' })
      const nobody = await desk.run([''])
      t.match(nobody, { code: 2, stdout: '', stderr: /^the name is empty/ })
      const unknown = await desk.run(['--nonsense'])
      t.equal(unknown.code, 2)
    })

    await t.test('with another daemon’s token nothing is told', async t => {
      writeFileSync(join(desk.cwd, 'data', 'gatehouse.db.admin-token'), `${'x'.repeat(43)}\n`)
      const { code, stderr } = await desk.run(['alice', '--password-stdin'], 'canary-5f2c')
      t.equal(code, 1)
      t.match(stderr, /does not know .*gatehouse\.db\.admin-token, so nothing is told to it/)
      t.notMatch(stderr, 'canary')
    })
  },
)

t.test('whom the groups of the backend keep out is named in the log', async t => {
  const slapd = await startSlapd(t)
  const desk = openDesk(t, [corpBackend(slapd, { groups: { denied: ['wiki-editors'] } })])
  const daemon = await desk.daemon()
  const { alice } = corpPeople
  t.equal((await daemon.authenticate('alice', alice.password)).status, 401)
  const line = await daemon.line(({ event }) => event === 'authn_login_fail')
  t.match(line, { reason: 'deny', user: 'alice', subject: /^corp:[0-9a-f-]{36}$/ })
  const seen = await desk.attempt('alice', alice.password)
  t.match(seen, { verdict: 'rejected', backend: 'corp', rule: 'deny always stops' })
  const charged = seen.lockout_after?.subjects
  t.match(charged, [{ subject: line.subject, failures: 0 }], 'and nobody guessed at her password')
})

t.test('without a daemon: a look by itself, and no attempt', async t => {
  const slapd = await startSlapd(t)
  const desk = openDesk(t, [corpBackend(slapd), { id: 'local', type: 'local' }])
  const seen = await desk.explain('carol')
  t.match(seen, { mode: 'look', verdict: 'depends_on_password', backend: 'corp', code: 0 })
  t.notOk(seen.lockout)
  t.match(seen.steps, [{ outcome: 'found' }, { outcome: 'unknown_user' }])
  const { stdout, stderr } = await desk.run(['carol'])
  t.match(stdout, /\n {2}lockout {9}not known: only a running daemon remembers failures\n/)
  t.match(stderr, /^No daemon is asked: there is no .*gatehouse\.db\.admin-token/)
  const refused = await desk.run(['carol', '--password-stdin'], corpPeople.carol.password)
  t.equal(refused.code, 1)
  t.match(
    refused.stderr,
    /^a password is tried by the daemon only.*: start it, or leave --password-stdin away/,
  )
  t.match(await desk.run(['carol', '--client', 'wiki']), { code: 1, stderr: /no client has the id "wiki"/ })
  t.notOk((await slapd.binds()).some(({ dn }) => dn === corpPeople.carol.dn))

  const daemon = await desk.daemon()
  await daemon.stop()
  t.match((await desk.run(['carol'])).stderr, /No daemon is asked/, 'a daemon takes its token away')
  await slapd.stop('SIGKILL')
  const out = await desk.explain('carol')
  t.match(out, { verdict: 'unavailable', backend: 'corp', code: 1 })
  t.match(out.steps[0], { outcome: 'unavailable', detail: /ECONNREFUSED/ })
})

t.test('whoever has taken the port of a daemon that crashed is told neither token nor password', async t => {
  const desk = openDesk(t, [{ id: 'local', type: 'local' }])
  const daemon = await desk.daemon()
  const token = readFileSync(join(desk.cwd, 'data', 'gatehouse.db.admin-token'), 'utf8').trim()
  await daemon.stop('SIGKILL')
  const heard: string[] = []
  const impostor = createServer(socket => {
    socket.setEncoding('utf8').on('data', text => {
      heard.push(String(text))
      const body = '{"proof":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}'
      socket.end(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`)
    })
  })
  impostor.listen(Number(new URL(daemon.adminUrl).port), '127.0.0.1')
  await once(impostor, 'listening')
  t.teardown(() => impostor.close())
  const { code, stderr } = await desk.run(['admin', '--password-stdin'], 'canary-5f2c')
  t.equal(code, 1)
  t.match(stderr, /so nothing is told to it/)
  t.match(heard.join(''), /^GET \/admin\/proof\?nonce=/)
  t.notMatch(heard.join(''), token)
  t.notMatch(heard.join(''), 'canary')
})

t.test('neither token nor password crosses a network', async t => {
  const desk = openDesk(t, [{ id: 'local', type: 'local' }])
  await desk.daemon()
  const url = 'http://192.0.2.1:8471'
  const { code, stderr } = await desk.run(['admin', '--password-stdin', '--admin', url], 'canary-5f2c')
  t.equal(code, 1)
  t.match(stderr, /192\.0\.2\.1:8471 is on another machine.* run this command there/)
})

t.test('Active Directory: the sub-code in words, and the path to each group', async t => {
  const samba = await startSamba(t)
  const desk = openDesk(t, [
    {
      id: 'corp',
      type: 'ldap',
      preset: 'active-directory',
      urls: [samba.ldapsUrl],
      tls: { ca_file: samba.caFile },
      bind: { dn: samba.serviceDn, password: samba.servicePassword },
      base_dn: samba.baseDn,
      names: { netbios: sambaDomain.netbios, upn_suffixes: [sambaDomain.dns] },
    },
    { id: 'local', type: 'local' },
  ])
  await desk.daemon()
  const { nested, disabled, alice } = sambaPeople

  const deep = await desk.explain(`${sambaDomain.netbios}\\${nested.sam}`)
  t.match(deep.username, {
    text: `${nested.sam}@${sambaDomain.dns}`,
    user: nested.sam,
    domain: sambaDomain.netbios.toLowerCase(),
  })
  const paths = (deep.steps[0]?.facts ?? []).filter(({ what }) => what === 'group').map(({ value }) => value)
  t.ok(
    paths.some(path => /level 4/.test(path) && /level 1/.test(path)),
    paths.join('\n'),
  )

  const off = await desk.attempt(disabled.sam, disabled.password)
  t.match(off, {
    verdict: 'account_state',
    reason: 'the account is disabled; the password is right',
    code: 1,
  })
  t.equal(facts(off.steps[0]).bind, 'result 49, AD 533: the account is disabled; the password is right')
  t.match(off.steps[1], { outcome: 'not_reached' })

  const wrong = await desk.attempt(alice.sam, 'wrong')
  t.match(wrong, {
    verdict: 'rejected',
    backend: 'corp',
    rule: 'on.wrong_password: stop (preset active-directory)',
  })
})
