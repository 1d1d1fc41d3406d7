/** What the commands print: of a configuration that holds secrets, good or broken, and of passwords that they are given. */
import { join } from 'node:path'
import t from 'tap'
import { adoptCanary } from './canary.ts'
import { openHouse } from './house.ts'

const listener = { host: '127.0.0.1', port: 0 }

t.test('a configuration that holds every secret, as it should be and broken in many ways', async t => {
  const house = openHouse(t)
  const bind = house.canary('the service account’s password')
  const redis = house.canary('the Redis password')
  const counting = house.canary('lockout.secret')
  const fromFile = house.canary('a secret in a file')
  house.input('secret', fromFile.password)
  const ldap = (changes: object) => ({
    type: 'ldap',
    preset: 'openldap',
    urls: ['ldaps://nobody.invalid'],
    base_dn: 'dc=corp,dc=example',
    ...changes,
  })
  const config = {
    listen: listener,
    admin: listener,
    database: 'data/gatehouse.db',
    lockout: {
      store: 'redis',
      redis: { url: 'redis://127.0.0.1:1', password: redis.password },
      secret: counting.core.repeat(2),
    },
    backends: [
      ldap({ id: 'corp', bind: { dn: 'cn=x', password: bind.password } }),
      ldap({ id: 'lab', bind: { dn: 'cn=x', password_file: join(house.cwd, 'secret') } }),
    ],
  }
  // Over several lines, as a person writes it.
  const good = JSON.stringify(config, null, 2)
  const core = bind.core
  const texts: Record<string, string> = {
    good,
    'a list for a secret': good.replace(JSON.stringify(bind.password), JSON.stringify([bind.password])),
    'a mapping for a secret': good.replace(
      JSON.stringify(redis.password),
      JSON.stringify({ it: redis.password }),
    ),
    'a key misspelt': good.replace('"password": ', '"pasword": '),
    'a key that is not known': good.replace('"store": ', `"note": "${core}", "store": `),
    'a key twice': good.replace('"dn": "cn=x"', `"password": "${core}", "dn": "cn=x"`),
    'a secret too short': good.replace(counting.core.repeat(2), counting.core),
    'a quote missing': good.replace(`${core}`, `${core}" `),
    'a bracket missing': good.slice(0, -4),
    'cut off behind a secret': good.slice(0, good.indexOf(core) + core.length),
    'a secret for a URL': good.replace('redis://127.0.0.1:1', `redis://user:${redis.core}@127.0.0.1:1`),
    'a secret in the URL of a directory': good.replace('ldaps://nobody', `ldaps://cn=x:${core}@nobody`),
    'a secret for its file': good.replace('"password": ', '"password_file": '),
    'a variable that is not set': good.replace(core, `\${${'NOT_SET'}}${core}`),
    'a comment': `# ${core}\nbackends: nothing\n`,
    'a block': `backends:\n  - id: corp\n    bind:\n      password: |-\n        ${core}\n     dn: cn=x\n`,
  }
  for (const [what, text] of Object.entries(texts)) {
    const file = house.input(`${what.replaceAll(' ', '-')}.yaml`, text)
    // What is said of broken ones is looked at more closely by test/config/secrecy.test.ts.
    const commands =
      what === 'good' ? ['check', 'config show', 'config show --json', 'doctor --json'] : ['check']
    const ran = await Promise.all(
      commands.map(command => house.run([...command.split(' '), '--config', file])),
    )
    t.ok(
      ran.every(({ stdout, stderr }) => stdout + stderr !== ''),
      `${what}: ${ran.map(({ code }) => code)}`,
    )
  }
  const shown = await house.run(['config', 'show', '--config', join(house.cwd, 'good.yaml')])
  t.match(shown.stdout, /\[secret\]/, 'that there is a secret is shown')
  house.holds(t)
})

t.test('passwords that commands are given on standard input', async t => {
  const house = openHouse(t)
  house.input(
    'gatehouse.yaml',
    JSON.stringify({
      database: 'data/gatehouse.db',
      backends: [{ id: 'local', type: 'local' }],
      admin: listener,
    }),
  )
  const [first, second, third] = ['the first password', 'the second one', 'one that is refused'].map(
    house.canary,
  )
  if (!first || !second || !third) throw new Error('there are three')
  const give = (args: readonly string[], input: string) =>
    house.run([...args, '--config', house.config], input)
  t.equal((await give(['user', 'add', 'alice', '--password-stdin'], first.password)).code, 0)
  t.equal((await give(['user', 'passwd', 'alice', '--password-stdin'], second.password)).code, 0)
  for (const args of [
    ['user', 'show', 'alice'],
    ['user', 'show', 'alice', '--json'],
    ['user', 'list', '--json'],
    ['user', 'disable', 'alice'],
  ]) {
    t.equal((await give(args, '')).code, 0)
  }
  const { password, core } = third
  for (const [args, input] of [
    [['user', 'add', 'alice', '--password-stdin'], password],
    [['user', 'add', core, '--password-stdin'], core],
    [['user', 'add', 'bob', '--password-stdin'], `${core}\n${core}`],
    [['user', 'add', 'bob', '--password-stdin'], core.repeat(100)],
    [['user', 'add', 'bob', '--password-stdin'], core.repeat(10_000)],
    [['user', 'passwd', 'nobody', '--password-stdin'], password],
    [['explain', 'alice', '--password-stdin'], password],
    [['explain', 'alice', '--password-stdin'], `${core}\u0007`],
  ] as const) {
    // A name is not a secret on its own command line, where it stands in the list of processes.
    if (args.some(word => word === core)) continue
    t.not((await give(args, input)).code, 0, args.join(' '))
  }
  for (const args of [
    ['hash', '--password-stdin'],
    ['hash', '--password-stdin', '--json'],
  ]) {
    const hashed = await give(args, second.password)
    t.match(hashed.stdout, /\$argon2id\$/)
  }
  house.holds(t)
})

t.test('the password that is made once is shown once, and kept nowhere', async t => {
  const house = openHouse(t)
  const listeners = { listen: listener, admin: listener, log: { level: 'debug', format: 'json' } }
  house.input(
    'gatehouse.yaml',
    JSON.stringify({
      database: 'data/gatehouse.db',
      backends: [{ id: 'local', type: 'local' }],
      ...listeners,
    }),
  )
  const daemon = await house.start()
  house.allow('data/gatehouse.db.admin-token')
  const [, password = ''] = await daemon.said(/ {2}password {2}(\S+)/)
  t.equal(await daemon.login('admin', password), 200)
  const log = daemon
    .output()
    .split('\n')
    .filter(line => line.startsWith('{"level"'))
  t.equal(await daemon.stop(), 0)
  // The welcome is on standard error, for whoever starts it; the log goes to places where no password belongs.
  t.ok(log.length > 1)
  t.notOk(log.join('\n').includes(password))
  const again = openHouse(t)
  again.add(adoptCanary('the first password', password))
  again.look('the log', log.join('\n'))
  again.look('the replies', daemon.replies())
  again.holds(t)
})
