import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { Command } from 'commander'
import t from 'tap'
import { resolvePlugin } from '../../src/backends/registry.ts'
import { checkCommand } from '../../src/commands/check.ts'
import { configCommand } from '../../src/commands/config.ts'
import { loadConfig } from '../../src/config/load.ts'
import { ConfigProblems } from '../../src/config/problem.ts'

process.chdir(new URL('../..', import.meta.url).pathname)

interface Ran {
  readonly out: string
  readonly err: string
  readonly code: number
}

/** Runs one command line as main.ts does, without a process. */
async function run(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ran> {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()]
  let code = 0
  const context = {
    stdin,
    stdout,
    stderr,
    env,
    color: false,
    loadConfig: (file: string) => loadConfig({ file, env, resolvePlugin }),
    setExitCode: (next: number) => {
      code = next
    },
  }
  const program = new Command().addCommand(checkCommand(context)).addCommand(configCommand(context))
  await program.parseAsync(args, { from: 'user' })
  const [out, err] = await Promise.all([text(stdout.end()), text(stderr.end())])
  return { out, err, code }
}

t.test('the shipped configuration is valid, and check says what it will do', async t => {
  const { out, err, code } = await run(['check'])
  t.equal(
    out,
    'config/gatehouse.yaml is valid: 2 backends (email → local), this machine may call, on http://127.0.0.1:8470\n',
  )
  t.equal(err, '')
  t.equal(code, 0)
})

t.test('check counts deny lists, backends that are off, clients and TLS', async t => {
  const { out } = await run(['check', '--config', 'fixtures/yaml/valid/everything.yaml'])
  t.match(
    out,
    'is valid: 4 backends (leavers (deny list) → corp → email → local), 3 clients, on https://0.0.0.0:8443\n',
  )
})

t.test('warnings are shown and do not fail', async t => {
  const { out, code } = await run(['check'], { GATEHOUSE_CONFIG: 'fixtures/yaml/valid/warnings.yaml' })
  t.match(out, /is valid: .*\n\nfixtures\/yaml\/valid\/warnings.yaml:1:17: warning: /)
  t.equal(code, 0)
})

t.test('errors are all shown, on standard error, with exit code 1', async t => {
  const { out, err, code } = await run(['check', '--config', 'fixtures/yaml/invalid/all-at-once.yaml'])
  t.equal(out, '')
  t.match(
    err,
    'fixtures/yaml/invalid/all-at-once.yaml:3:1: error: unknown key `dedline`\n    3 | dedline: …\n      | ^\n',
  )
  t.match(err, /\n\n11 errors in fixtures\/yaml\/invalid\/all-at-once.yaml\n$/)
  t.equal(code, 1)
})

t.test('a file that is not there is told in a line', async t => {
  const { err, code } = await run(['check', '--config', 'nowhere.yaml'])
  t.match(err, 'nowhere.yaml: error: there is no such file\n')
  t.equal(code, 1)
})

t.test('check --json says the same to machines', async t => {
  const good = await run(['check', '--json'])
  t.strictSame(JSON.parse(good.out), {
    file: 'config/gatehouse.yaml',
    valid: true,
    backends: ['email', 'local'],
    problems: [],
  })
  const bad = await run(['check', '--json', '--config', 'fixtures/yaml/invalid/duplicate-key.yaml'])
  t.match(JSON.parse(bad.out), {
    valid: false,
    problems: [
      {
        severity: 'error',
        line: 4,
        column: 1,
        message: /already set in line 1/,
        hint: 'keep one of the two',
      },
    ],
  })
  t.equal(bad.code, 1)
})

t.test('config show prints what holds, masked, with where it came from', async t => {
  const { out, code } = await run(['config', 'show', '--config', 'fixtures/yaml/valid/warnings.yaml'])
  t.match(out, 'deadline: 3s # fixtures/yaml/valid/warnings.yaml:3\n')
  t.match(out, 'password: "[secret]" # fixtures/yaml/valid/warnings.yaml:10\n')
  t.match(out, 'password: "[secret]" # secret file fixtures/yaml/secrets/world-readable, ')
  t.match(out, 'max_attempts: 5 # default\n')
  t.notMatch(out, 'hunter2')
  t.notMatch(out, 'correct horse')
  t.equal(code, 0)
})

t.test('config show prints what a preset decides, and what is set instead', async t => {
  const file = join(t.testdir(), 'gatehouse.yaml')
  const corp = {
    ...{
      type: 'ldap',
      preset: 'openldap',
      urls: ['ldaps://ldap.corp.example'],
      base_dn: 'dc=corp,dc=example',
    },
    bind: { dn: 'cn=gatehouse,dc=corp,dc=example', password: 'hunter2' },
  }
  const backends = [
    { id: 'one', ...corp },
    { id: 'two', ...corp, id_attribute: 'employeeID', groups: { nesting: 'direct' } },
  ]
  writeFileSync(file, JSON.stringify({ backends }))
  const { out } = await run(['config', 'show', '--json', '--config', file])
  const { config, origins } = JSON.parse(out)
  const user_filter = '(&(objectClass=inetOrgPerson)(|(uid={username})(mail={mail})))'
  t.match(config.backends, [
    { user_filter, id_attribute: 'entryUUID', groups: { nesting: 'levels' } },
    { user_filter, id_attribute: 'employeeID', groups: { nesting: 'direct' } },
  ])
  t.match(origins, {
    '/backends/0/user_filter': { from: 'default' },
    '/backends/1/id_attribute': { from: 'file' },
    '/backends/1/groups/nesting': { from: 'file' },
  })
})

t.test('config show --json has the values and their origins', async t => {
  const { out } = await run(['config', 'show', '--json'])
  t.match(JSON.parse(out), {
    file: 'config/gatehouse.yaml',
    config: { listen: { port: 8470 }, backends: [{ id: 'email' }, { id: 'local' }] },
    origins: { '/listen/port': { from: 'file' }, '/deadline': { from: 'default' } },
  })
})

t.test('config show leaves the errors of a file to whoever prints them', async t => {
  await t.rejects(
    run(['config', 'show', '--config', 'fixtures/yaml/invalid/no-backend.yaml']),
    ConfigProblems,
  )
})

t.test('config schema prints JSON Schema', async t => {
  const { out } = await run(['config', 'schema'])
  t.match(JSON.parse(out), { $schema: /draft-07/, properties: { backends: { type: 'array' } } })
})
