import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { runCommand } from '../support/daemon.ts'

t.test('the key is printed once, and the YAML beside it is what the configuration takes', async t => {
  const cwd = t.testdir()
  const added = await runCommand(
    ['client', 'add', 'wiki', '--may', 'assert_client_ip', 'reveal_account_state'],
    { cwd },
  )
  t.equal(added.code, 0, added.stderr)
  const key = /^ {2}(gh_[\w-]{43})$/m.exec(added.stdout)?.[1] ?? ''
  t.match(added.stdout, createHash('sha256').update(key).digest('hex'))
  const yaml = added.stdout.slice(added.stdout.indexOf('  - id: wiki'))
  writeFileSync(join(cwd, 'g.yaml'), `backends: [{ id: local, type: local }]\nclients:\n${yaml}`)
  const listed = await runCommand(['client', 'list', '--config', 'g.yaml'], { cwd })
  t.equal(listed.code, 0, listed.stderr)
  t.match(listed.stdout, /^wiki {2}key .*all backends .*may assert_client_ip, reveal_account_state$/m)
  const json = await runCommand(['client', 'list', '--config', 'g.yaml', '--json'], { cwd })
  t.match(JSON.parse(json.stdout), [{ id: 'wiki', by: 'key', backends: 'all' }])
})

t.test('machines get JSON, and no two keys are alike', async t => {
  const cwd = t.testdir()
  const keys = await Promise.all([1, 2].map(() => runCommand(['client', 'add', 'wiki', '--json'], { cwd })))
  const [first, second] = keys.map(({ stdout }) => JSON.parse(stdout))
  t.match(first, { key: /^gh_/, client: { id: 'wiki', key_sha256: /^[0-9a-f]{64}$/ } })
  t.not(first.key, second.key)
})

t.test('a permission that does not exist and an id that cannot be are wrong usage', async t => {
  const cwd = t.testdir()
  for (const args of [['add', 'wiki', '--may', 'everything'], ['add', 'Wiki!'], ['add'], ['list', 'x']]) {
    const { code, stderr } = await runCommand(['client', ...args], { cwd })
    t.equal(code, 2, args.join(' '))
    t.not(stderr, '')
  }
})
