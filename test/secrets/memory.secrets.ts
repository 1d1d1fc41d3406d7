/** What is left of a password in the process once the reply is out: nothing that is alive. */
import { once } from 'node:events'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type Canary, findCanaries } from './canary.ts'
import { startCanaryDirectory } from './directory.ts'
import { openHouse } from './house.ts'
import { LEAKY_PLUGIN } from './leaky-plugin.ts'
import { findInMemory } from './process-memory.ts'
import type { WatchedDaemon } from './watched-daemon.ts'

const PROBE = new URL('./heap-probe.ts', import.meta.url).href

const house = openHouse(t)
const { slapd, service, people } = await startCanaryDirectory(t, house, t.testdir())
const local = house.canary('the right password of a local user')
const plugin = house.input('leaky.js', LEAKY_PLUGIN)
house.input('service-password', service.password)
const listener = { host: '127.0.0.1', port: 0 }
house.input(
  'gatehouse.yaml',
  JSON.stringify({
    listen: listener,
    admin: listener,
    database: 'data/gatehouse.db',
    log: { level: 'debug', format: 'json' },
    plugins: [plugin],
    backends: [
      { id: 'leaky', type: plugin, username_filter: ['leaky-*'] },
      {
        id: 'corp',
        type: 'ldap',
        preset: 'openldap',
        urls: [slapd.ldapsUrl],
        tls: { ca_file: slapd.caFile },
        base_dn: slapd.baseDn,
        bind: { dn: slapd.serviceDn, password_file: join(house.cwd, 'service-password') },
      },
      { id: 'local', type: 'local' },
    ],
  }),
)
await house.run(['user', 'add', 'inhouse', '--password-stdin', '--config', house.config], local.password)
house.allow('data/gatehouse.db.admin-token')
const daemon = await house.start({
  nodeArgs: ['--import', PROBE],
  env: { HEAP_PROBE_FOLDER: house.cwd },
})

/** Everything that is alive in the daemon, of the main thread and of each that hashes. */
async function snapshot({ process }: WatchedDaemon): Promise<Map<string, Buffer>> {
  process.send?.('snapshot')
  const [{ files }] = (await once(process, 'message')) as [{ files: string[] }]
  const taken = new Map(files.map(file => [file.replace(/^.*\//, ''), readFileSync(file)]))
  for (const file of files) rmSync(file)
  return taken
}

/** How a string may be alive; the octets of buffers are not in a snapshot. */
const SPELT = /^plain$|^its|^hex$|^base64,/
/** Of a password that was answered, in memory that is free: where libraries copied it to. */
const MOST_PLACES = 3

const wrong = (what: string) => house.canary(`a wrong password ${what}`)

t.test('no password is alive after its reply, whatever that was', async t => {
  const kept = house.canary('a password that a plugin keeps')
  t.equal(await daemon.login('leaky-keeps', kept.password), 503)

  const malformed = wrong('in what is no JSON')
  t.match(await daemon.ask({ body: `{"username":"fine","password":"${malformed.core}` }), / 400 /)
  const inQuery = wrong('in the query')
  t.match(await daemon.ask({ path: `/authenticate?password=${inQuery.core}`, body: '{}' }), / 400 /)
  const control = wrong('with a control character')
  t.equal(await daemon.login('fine', `${control.core}\u0007`), 400)
  const abandoned = wrong('of somebody who hung up')
  const body = JSON.stringify({ username: 'fine', password: abandoned.password })
  const head = 'POST /authenticate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n'
  await daemon.send(`${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`, { hangUp: true })
  // It is finished and counted all the same.
  await daemon.said(/"authn_login_fail"/)

  const answered: readonly (readonly [string, Canary, number])[] = [
    ['leaky-message', wrong('at a plugin that throws it'), 503],
    ['leaky-log', wrong('at a plugin that logs it'), 503],
    ['leaky-lets-go', wrong('at a plugin that lets go of a promise'), 503],
    ['nobody', wrong('of nobody'), 401],
    ['fine', wrong('in the directory'), 401],
    ['inhouse', wrong('of a local user'), 401],
    ['reset', people.reset, 401],
    ['inhouse', local, 200],
    ['fine', people.fine, 200],
  ]
  for (const [name, canary, status] of answered) {
    t.equal(await daemon.login(name, canary.password), status, `${name} with ${canary.name}`)
  }

  // Nothing comes in between the last reply and this.
  const taken = await snapshot(daemon)
  const used = [malformed, inQuery, control, abandoned, ...answered.map(([, canary]) => canary)]
  t.ok(taken.size > 1, `${[...taken.keys()]}`)
  for (const [name, content] of taken) {
    t.ok(content.length > 1_000_000, `${name} has ${content.length} octets`)
    t.same(findCanaries(content, used, SPELT), [], name)
  }
  const main = [...taken].find(([name]) => name.startsWith('main'))?.[1] ?? ''
  t.not(findCanaries(main, [kept], SPELT).length, 0, 'what is alive would have been found')
  t.not(
    findCanaries(main, [service], SPELT).length,
    0,
    'the service account’s is alive as long as the daemon',
  )

  // Alive or not, strings and octets.
  const cores = [kept, ...used].map(({ core }) => core)
  const found = findInMemory(daemon.process.pid ?? 0, cores)
  const timesOf = ({ core }: Canary) =>
    [...(found.get(core)?.values() ?? [])].reduce((sum, times) => sum + times, 0)
  t.ok(timesOf(kept) > 0, 'what is in the memory is found, too')
  for (const canary of used) {
    for (const [place, times] of found.get(canary.core) ?? [])
      t.comment(`${canary.name}: ${times} in ${place}`)
    t.ok(timesOf(canary) <= MOST_PLACES, canary.name)
  }
})
