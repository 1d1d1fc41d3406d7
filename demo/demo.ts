/**
 * npm run demo: a real slapd, the daemon on the OpenLDAP example, and what its three users see. Everything runs on
 * loopback, in a folder of its own, and is gone at the end. Whatever is not as it should be ends it with exit code 1.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { styleText } from 'node:util'
import { type Answer, type Daemon, runCommand, startDaemon } from '../test/support/daemon.ts'
import { writeOpenldapExample } from '../test/support/openldap-example.ts'
import { runSlapd, type Slapd } from '../test/support/slapd.ts'

type Style = Parameters<typeof styleText>[0]

/** For the daemon to see that its directory is back, on a machine with other things to do. */
const BACK_WITHIN_MS = 60_000

/** Something is not as it should be; the demo ends there. */
class Surprise extends Error {}

const endings: (() => unknown)[] = []
const directory = mkdtempSync(join(tmpdir(), 'gatehouse-demo-'))
endings.push(() => rmSync(directory, { recursive: true, force: true }))

// A Ctrl-C must not leave slapd and the folder behind.
process.once('SIGINT', () => end().finally(() => process.exit(130)))

try {
  await demonstrate()
} catch (error) {
  if (!(error instanceof Surprise)) throw error
  process.stderr.write(`\n${styleText('red', `This is not as it should be: ${error.message}`)}\n`)
  process.exitCode = 1
} finally {
  await end()
}

async function demonstrate(): Promise<void> {
  heading('A directory and a daemon')
  const slapd = await runSlapd({ directory: join(directory, 'slapd') })
  endings.push(() => slapd.stop('SIGKILL'))
  say(`slapd      ${slapd.ldapsUrl}  (fixtures/ldap/corp.ldif)`)
  const config = writeOpenldapExample(directory, slapd)
  await addLocalUser(config)
  const gatehouse = await startDaemon(
    { teardown: ending => void endings.push(ending) },
    { config, cwd: directory },
  )
  say(`gatehouse  ${gatehouse.url}  (config/openldap.yaml, pointed at that slapd)`)

  heading('Three ways in, in the order of the YAML')
  await login(gatehouse, 'alice', 'alice-secret-1', 200, 'by LDAP')
  await login(
    gatehouse,
    'dave@partner.example',
    'two kettles and one dave',
    200,
    'a local user by mail address',
  )
  await login(gatehouse, 'dave', 'two kettles and one dave', 200, 'the same one by name: one id, one lockout')
  await login(gatehouse, 'ALICE ', 'wrong', 401, 'a wrong password')
  await login(gatehouse, 'alice', 'alice-secret-1', 200, 'and right again: she starts afresh')

  await outage(gatehouse, slapd)

  heading('A lockout: the fifth wrong password still gets 401, then nothing is verified')
  for (let guess = 1; guess <= 6; guess++)
    await login(gatehouse, 'bob', `guess ${guess}`, guess <= 5 ? 401 : 429, `guess ${guess}`)
  await login(gatehouse, 'bob', 'bob-secret-1', 429, 'even the right one')
  await login(gatehouse, 'alice', 'alice-secret-1', 200, 'everybody else gets in')
  const bobsBinds = (await slapd.binds()).filter(({ dn }) => dn.startsWith('uid=bob,'))
  say(`slapd saw ${bobsBinds.length} binds for bob`)
  if (bobsBinds.length !== 5) throw new Surprise('five of the guesses should have reached slapd')

  heading('The end')
  const code = await gatehouse.stop()
  say(`SIGTERM: gatehouse ends with exit code ${code}`)
  if (code !== 0) throw new Surprise('it should have ended with 0')
}

async function outage(gatehouse: Daemon, slapd: Slapd): Promise<void> {
  heading('An outage is never a wrong password')
  await slapd.stop()
  say('slapd stopped')
  for (let i = 0; i < 6; i++)
    await login(gatehouse, 'alice', 'alice-secret-1', 503, i === 0 ? 'no verdict' : 'still none')
  await login(gatehouse, 'dave', 'two kettles and one dave', 200, 'local users get in all the same')
  await slapd.start()
  say('slapd started again')
  await untilBack(gatehouse, 'corp')
  say('/readyz of the admin listener says that corp is back')
  await login(gatehouse, 'alice', 'alice-secret-1', 200, 'nobody counted anything')
}

async function addLocalUser(config: string): Promise<void> {
  const { code, stderr } = await runCommand(
    ['user', 'add', 'dave', '--email', 'dave@partner.example', '--password-stdin', '--config', config],
    { cwd: directory, input: 'two kettles and one dave\n' },
  )
  if (code !== 0) throw new Error(`user add ended with ${code}: ${stderr}`)
}

/** Waits until the daemon says that this backend can give verdicts. */
async function untilBack({ adminUrl }: Daemon, id: string): Promise<void> {
  const endsAt = performance.now() + BACK_WITHIN_MS
  for (;;) {
    const reply = await fetch(`${adminUrl}/readyz`)
    const { backends } = (await reply.json()) as { backends: { id: string; ok: boolean; reason?: string }[] }
    const backend = backends.find(each => each.id === id)
    if (backend?.ok) return
    if (performance.now() > endsAt) {
      throw new Surprise(`${id} is not back after ${BACK_WITHIN_MS / 1000} s: ${backend?.reason}`)
    }
    await pause(100)
  }
}

async function login(
  gatehouse: Daemon,
  username: string,
  password: string,
  expected: number,
  what: string,
): Promise<void> {
  const answer = await gatehouse.authenticate(username, password)
  const shown = `${styleText('bold', username.padEnd(22))} ${what}`
  say(
    `${styleText(colourOf(answer.status), String(answer.status))}  ${shown}\n       ${styleText('dim', summarise(answer))}`,
  )
  if (answer.status !== expected) throw new Surprise(`${answer.status} where ${expected} was to come`)
}

function summarise({ status, headers, body }: Answer): string {
  if (status === 200) {
    const { id, groups } = body.user as { id: string; groups: string[] }
    return `${id}  groups: ${groups.join(', ') || 'none'}`
  }
  const retryAfter = headers.get('retry-after')
  return `${body.code}${retryAfter === null ? '' : `, Retry-After: ${retryAfter}`}`
}

function colourOf(status: number): Style {
  if (status === 200) return 'green'
  return status === 503 ? 'yellow' : 'red'
}

function heading(text: string): void {
  process.stdout.write(`\n${styleText('bold', text)}\n`)
}

function say(text: string): void {
  process.stdout.write(`  ${text}\n`)
}

async function end(): Promise<void> {
  for (const ending of endings.splice(0).reverse()) await ending()
}
