import { createHash } from 'node:crypto'
import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { resolvePlugin } from '../../src/backends/registry.ts'
import { runCommand, startDaemon } from '../support/daemon.ts'

/** A plugin as its author and its operator know it: through the daemon's configuration. */

const EXAMPLE = fileURLToPath(new URL('../../examples/backend-static-list', import.meta.url))
const SHA256_OF_RIGHT = createHash('sha256').update('right').digest('hex')

function configuration(type: string, options = `people: { door: ${SHA256_OF_RIGHT} }`): string {
  return `
listen: { host: 127.0.0.1, port: 0 }
admin: { host: 127.0.0.1, port: 0 }
database: gatehouse.db
plugins: ["${type}"]
backends:
  - id: codes
    type: "${type}"
    ${options}
log: { level: info, format: json }
`
}

t.test('the example package logs in, refuses and locks out through the daemon', async t => {
  const cwd = t.testdir({ 'gatehouse.yaml': configuration('npm:gatehouse-backend-static-list') })
  cpSync(EXAMPLE, join(cwd, 'node_modules/gatehouse-backend-static-list'), { recursive: true })
  const daemon = await startDaemon(t, { config: 'gatehouse.yaml', cwd })
  t.match(await daemon.authenticate('door', 'right'), { status: 200, body: { user: { id: 'codes:door' } } })
  t.match(await daemon.authenticate('nobody', 'right'), { status: 401 })
  for (let i = 0; i < 5; i++) t.match(await daemon.authenticate('Door', `wrong ${i}`), { status: 401 })
  t.match(await daemon.authenticate('door', 'right'), { status: 429 })
  t.equal((await fetch(`${daemon.url}/users/codes:door`)).status, 200)
  t.equal(await daemon.stop(), 0)
})

t.test('a plugin may be a file', async t => {
  const cwd = t.testdir({ 'gatehouse.yaml': configuration('./static-list/index.js') })
  cpSync(EXAMPLE, join(cwd, 'static-list'), { recursive: true })
  const checked = await runCommand(['check', '--config', 'gatehouse.yaml'], { cwd })
  t.match(checked, { code: 0, stdout: /is valid: 1 backend \(codes\)/ })
})

t.test('its options are validated by its own schema, with their place', async t => {
  const cwd = t.testdir({
    'gatehouse.yaml': configuration('./static-list/index.js', 'people: { door: abc }'),
  })
  cpSync(EXAMPLE, join(cwd, 'static-list'), { recursive: true })
  const checked = await runCommand(['check', '--config', 'gatehouse.yaml'], { cwd })
  t.match(checked, { code: 1, stderr: /gatehouse\.yaml:9:2\d: error: expected a text that matches/ })
})

t.test('a plugin that cannot be loaded stops the start, and says why', async t => {
  const broken: [string, string, RegExp][] = [
    ['nothing', '', /exports no object named "plugin"/],
    ['old', 'export const plugin = { apiVersion: 0 }', /its apiVersion is 0/],
    ['optionless', 'export const plugin = { apiVersion: 1 }', /its "options" is not the schema of an object/],
    [
      'useless',
      'export const plugin = { apiVersion: 1, options: { type: "object" } }',
      /its "create" is not/,
    ],
    ['throwing', 'throw new Error("no licence")', /no licence/],
  ]
  const cwd = t.testdir()
  for (const [name, source, expected] of broken) {
    writeFileSync(join(cwd, `${name}.js`), source)
    writeFileSync(join(cwd, 'gatehouse.yaml'), configuration(`./${name}.js`, ''))
    const served = await runCommand(['serve', '--config', 'gatehouse.yaml'], { cwd })
    t.match(served, { code: 1, stderr: expected }, name)
  }
  mkdirSync(join(cwd, 'empty'))
  writeFileSync(
    join(cwd, 'failing.js'),
    'export const plugin = { apiVersion: 1, options: { type: "object" }, create: () => { throw new Error("no socket") } }',
  )
  writeFileSync(join(cwd, 'gatehouse.yaml'), configuration('./failing.js', ''))
  t.match(await runCommand(['serve', '--config', 'gatehouse.yaml'], { cwd }), {
    code: 1,
    stderr: /backend codes: no socket/,
  })
})

t.test(
  'a plugin that is not there is to be installed, and is never said to be meant instead of itself',
  async t => {
    const cwd = t.testdir()
    const missing: [string, RegExp][] = [
      [
        'npm:@acme/gatehouse-radius',
        /error: this package is not installed\n.*\n.*\n +=.* npm install @acme\/gatehouse-radius, in/,
      ],
      ['npm:gatehouse-radius/main.js', /npm install gatehouse-radius, in/],
      ['./radius.ts', /error: there is no such file\n.*\n.*\n +=.*working directory/],
    ]
    for (const [type, expected] of missing) {
      writeFileSync(join(cwd, 'gatehouse.yaml'), configuration(type, ''))
      for (const command of ['check', 'serve']) {
        const { code, stderr } = await runCommand([command, '--config', 'gatehouse.yaml'], { cwd })
        t.equal(code, 1)
        t.match(stderr, expected)
        t.notMatch(stderr, 'did you mean')
      }
    }
  },
)

t.test('what a plugin itself cannot find is not taken for the plugin', async t => {
  const cwd = t.testdir({
    'gatehouse.yaml': configuration('npm:gatehouse-radius', ''),
    node_modules: {
      'gatehouse-radius': {
        'package.json': '{"type":"module","exports":"./index.js"}',
        'index.js': 'import "radius-client-that-is-not-there"',
      },
    },
  })
  const { stderr } = await runCommand(['check', '--config', 'gatehouse.yaml'], { cwd })
  t.match(stderr, /it cannot be loaded: Cannot find package 'radius-client-that-is-not-there'/)
  t.notMatch(stderr, 'npm install')
})

t.test('only what ships or is listed is ever loaded', async t => {
  t.match(await resolvePlugin('ldap', []), { type: 'ldap', apiVersion: 1 })
  t.match(await resolvePlugin('npm:left-pad', []), { error: /not listed under plugins/ })
  t.match(await resolvePlugin('/etc/passwd', []), { error: /not listed under plugins/ })
  t.match(await resolvePlugin('radius', []), {
    error: /there is no such backend/,
    known: ['ldap', 'email', 'local'],
  })
})
