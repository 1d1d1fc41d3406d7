/** Advisories on input that costs too much, or that writes what it should not. */

import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import type { Test } from 'tap'
import { createUsernameNormaliser } from '../../src/authentication/username.ts'
import { createUsernameFilter } from '../../src/authentication/username-filter.ts'
import { parseDn, parseUnescapedDn } from '../../src/backends/ldap/syntax/dn.ts'
import { loggablePath } from '../../src/http/problem.ts'
import { checkNewUser } from '../../src/users/user.ts'
import { type Daemon, startDaemon } from '../support/daemon.ts'
import { EMAIL, LOCAL, openHouse } from './house.ts'
import { spelled } from './replies.ts'
import { conforms } from './suite.ts'

conforms('advisory 57', async t => {
  const house = await openHouse(t, { backends: [EMAIL, LOCAL], lockout: { mode: 'off' } })
  const { normalize } = String.prototype
  let longest = 0
  String.prototype.normalize = function (this: string, form) {
    longest = Math.max(longest, Buffer.byteLength(this))
    return normalize.call(this, form)
  }
  t.teardown(() => {
    String.prototype.normalize = normalize
  })
  // U+FDFA becomes eighteen characters; marks out of order must be sorted; each is slow for a normaliser.
  for (const slow of [
    '\ufdfa',
    '\u0344',
    '\u0338\u0323',
    '\u1e9b\u0323',
    '\ufb2c',
    '\u2126',
    '\u00bd',
    'a\u0300\u0315',
    '\ud83d\ude00',
  ]) {
    for (const length of [257, 1_025, 4_000]) {
      const name = slow.repeat(length).slice(0, length)
      if (!name.isWellFormed()) continue
      t.equal((await house.login(name, 'wrong')).status, 400, `${length} of ${spelled(slow)}`)
      t.equal((await house.getUser(`local:${name.slice(0, 700)}`)).status, 404, 'nor as an id')
    }
    t.ok((await house.login(slow.repeat(40), 'wrong')).status < 500, 'one that may be')
  }
  t.equal((await house.login('\ufdfa'.repeat(100_000), 'wrong')).status, 413)
  t.ok(longest > 0 && longest <= 18 * 1_024, `at most ${longest} octets were ever normalised`)
})

conforms('advisory 58', async t => {
  const normalise = createUsernameNormaliser([{ netbios: 'CORP', suffixes: ['corp.example'] }])
  const filter = createUsernameFilter(['*a*a*a*a*a*a*a*a*b', '!*@*.*.*.*.*.evil', '??*?*?*?*x'])
  const pieces = [
    'a',
    '@',
    '.',
    'a@',
    '@.',
    'a.',
    '\\',
    ' ',
    '\t',
    '(',
    '-',
    'a-',
    '\\2c',
    'cn=a,',
    '+',
    '\u3000',
    'i\u0307',
    '\u00ad',
    '=',
    '"',
  ]
  const hostile = pieces.flatMap(piece => [
    piece.repeat(256),
    `${piece.repeat(255)}!`,
    `x${piece.repeat(250)}@x`,
    `a@${piece.repeat(250)}`,
  ])
  const started = process.cpuUsage()
  for (const text of hostile) {
    const name = normalise(text.slice(0, 256))
    if (name.ok) filter(name.username.text)
    const user = { username: text, email: text, displayName: text, groups: [text], passwordHash: '' }
    checkNewUser({ ...user, username: 'x' }, normalise)
    parseDn(text.repeat(8))
    parseUnescapedDn(text)
    loggablePath(`/${text.repeat(20)}`)
  }
  const { user, system } = process.cpuUsage(started)
  // What backtracks takes for ever with any one of these.
  t.ok(
    user + system < 5_000_000,
    `${Math.round((user + system) / 1_000)} ms for ${hostile.length} hostile texts`,
  )

  const house = await openHouse(t, { backends: [EMAIL, LOCAL], lockout: { mode: 'off' } })
  for (const name of [
    'a@'.repeat(128),
    `${'a.'.repeat(120)}@x`,
    `a@${'a-'.repeat(120)}`,
    `${'@'.repeat(256)}`,
    `"${'\\"'.repeat(100)}"@x`,
  ]) {
    t.equal((await house.login(name, 'wrong')).status, 401, spelled(name))
  }
})

/** A daemon of its own, whose log is what it wrote. */
async function openDaemon(t: Test, level = 'debug'): Promise<Daemon> {
  const folder = t.testdir()
  const config = join(folder, 'gatehouse.yaml')
  const lines = {
    listen: { host: '127.0.0.1', port: 0 },
    admin: { host: '127.0.0.1', port: 0 },
    database: join(folder, 'gatehouse.db'),
    backends: [EMAIL, LOCAL],
    log: { format: 'json', level },
    lockout: { mode: 'off' },
  }
  writeFileSync(config, JSON.stringify(lines))
  return startDaemon(t, { cwd: folder, config })
}

conforms('advisory 59', async t => {
  const daemon = await openDaemon(t)
  const forged = '{"level":"info","event":"authn_login_success","username":"admin"}'
  const breaks = [
    '\n',
    '\r\n',
    '\r',
    '\u0085',
    '\u2028',
    '\u2029',
    '\u001b[2K\u001b[1G',
    '\b\b\b',
    '\u202e',
    '\0',
  ]
  for (const text of breaks) {
    const { status } = await daemon.authenticate(`anna${text}${forged}`, 'wrong')
    t.equal(status, 400, spelled(text))
    const { status: onlyQuoted } = await daemon.authenticate(`anna"}${forged}`, 'wrong')
    t.equal(onlyQuoted, 401)
  }
  const paths = breaks.flatMap(text => {
    const encoded = encodeURIComponent(text)
    return [
      `/nowhere${encoded}${encodeURIComponent(forged)}`,
      `/users/x${encoded}y`,
      `/authenticate?x=${encoded}${encodeURIComponent(forged)}`,
    ]
  })
  for (const path of [...paths, '/%0a%0d', '/%', '/%ff', `/${'x'.repeat(8_000)}`]) {
    const answered = fetch(`${daemon.url}${path}`, {
      headers: { 'user-agent': `x ${forged}`, referer: forged, 'x-request-id': forged },
    })
    t.ok((await answered).status >= 400, path.slice(0, 60))
  }
  // Octets that no client of today lets through.
  const { port } = new URL(daemon.url)
  for (const line of [
    `GET /x\t${forged} HTTP/1.1`,
    `GET /\u001b[31m HTTP/1.1`,
    'GET /\xff\xfe HTTP/1.1',
    `G\u0000T / HTTP/1.1`,
  ]) {
    const socket = connect(Number(port), '127.0.0.1')
    socket.end(Buffer.from(`${line}\r\nHost: x\r\n\r\n`, 'latin1'))
    const closed = once(socket.resume(), 'close')
    await closed
  }
  t.equal(await daemon.stop(), 0)
  t.ok(daemon.lines.length > breaks.length, 'there is a log')
  t.same(
    daemon.lines.filter(line => 'unparsed' in line),
    [],
    'every line is one of ours',
  )
  t.same(
    daemon.lines.filter(({ event, username }) => event === 'authn_login_success' || username === 'admin'),
    [],
    'none is forged',
  )
  for (const line of daemon.lines) {
    for (const value of Object.values(line)) {
      if (typeof value === 'string' && /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/u.test(value))
        t.fail(spelled(value))
    }
  }
})

/** What the process holds in memory, in MiB. */
function residentMiB({ process }: Daemon): number {
  const [, kib = 'NaN'] =
    /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${process.pid}/status`, 'utf8')) ?? []
  return Number(kib) / 1024
}

conforms('advisory 60', async t => {
  const daemon = await openDaemon(t, 'info')
  const { port } = new URL(daemon.url)
  const open: Socket[] = []
  t.teardown(() => {
    for (const socket of open) socket.destroy()
  })
  async function connectAll(count: number, octets: Buffer): Promise<void> {
    const sockets = Array.from({ length: count }, () =>
      connect(Number(port), '127.0.0.1').on('error', () => {}),
    )
    open.push(...sockets)
    await Promise.all(sockets.map(socket => once(socket, 'connect')))
    await Promise.all(sockets.map(socket => new Promise(resolve => socket.write(octets, resolve))))
  }
  const head = 'POST /authenticate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'
  t.equal((await daemon.authenticate('nobody', 'wrong')).status, 401)
  const before = residentMiB(daemon)
  // A header, and a body, that never end: as much of each as is taken.
  await connectAll(400, Buffer.from(`${head}X-Filler: ${'x'.repeat(14_000)}`))
  await connectAll(400, Buffer.from(`${head}Content-Length: 16384\r\n\r\n${'x'.repeat(16_000)}`))
  await connectAll(200, Buffer.alloc(0))
  t.equal((await daemon.authenticate('nobody', 'wrong')).status, 401, 'logins go on beside them')
  const grown = residentMiB(daemon) - before
  t.ok(grown < 120, `${Math.round(grown)} MiB more, with a thousand half-open`)

  /** What is over the limit ends at once, and is not waited for. */
  async function replyTo(octets: string): Promise<string> {
    const socket = connect(Number(port), '127.0.0.1')
    open.push(socket)
    let text = ''
    socket.setEncoding('utf8').on('data', more => {
      text += more
    })
    socket.on('error', () => {})
    socket.write(octets)
    await once(socket, 'close')
    return text
  }
  t.match(await replyTo(`${head}X-Filler: ${'x'.repeat(20_000)}`), /^HTTP\/1\.1 431 /, 'a header over 16 KiB')
  t.match(
    await replyTo(`${head}Content-Length: 1000000000\r\n\r\n`),
    /^HTTP\/1\.1 413 /,
    'a body that says it is over 16 KiB',
  )
  t.match(
    await replyTo(`${head}Transfer-Encoding: chunked\r\n\r\n${`1000\r\n${'x'.repeat(4096)}\r\n`.repeat(5)}`),
    /^HTTP\/1\.1 413 /,
    'one that does not say it',
  )
  t.match(
    await replyTo(
      `GET /livez HTTP/1.1\r\nHost: x\r\n${Array.from({ length: 200 }, (_, at) => `X-${at}: x\r\n`).join('')}Connection: close\r\n\r\n`,
    ),
    /^HTTP\/1\.1 400 /,
    'more than 100 headers',
  )
  t.equal((await daemon.authenticate('nobody', 'wrong')).status, 401)
})
