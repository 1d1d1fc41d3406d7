import { globSync, readFileSync } from 'node:fs'
import t from 'tap'
import { Value } from 'typebox/value'
import { parse } from 'yaml'
import { renderConfigurationPage } from '../../scripts/generate-config-docs.ts'
import { builtInPlugins } from '../../src/backends/registry.ts'
import { editorSchema, renderEditorSchema } from '../../src/config/editor-schema.ts'
import { standInPlugins } from './stand-in-plugins.ts'

process.chdir(new URL('../..', import.meta.url).pathname)

const AGAIN = 'node scripts/generate-config-docs.ts makes it anew'

t.test('the schema that ships is that of the definitions which validate', async t => {
  t.equal(readFileSync('config/gatehouse.schema.json', 'utf8'), renderEditorSchema(builtInPlugins), AGAIN)
  t.strictSame(
    JSON.parse(renderEditorSchema(builtInPlugins)),
    JSON.parse(JSON.stringify(editorSchema(builtInPlugins))),
  )
})

t.test('the reference that ships is that of the same definitions', async t => {
  t.equal(readFileSync('docs/configuration.md', 'utf8'), renderConfigurationPage(), AGAIN)
})

t.test('every option is described, so that the reference and the editor say what it means', async t => {
  const visit = (value: unknown, path: string) => {
    if (typeof value !== 'object' || value === null) return
    if ('properties' in value && typeof value.properties === 'object' && value.properties !== null) {
      for (const [name, inner] of Object.entries(value.properties)) {
        if (typeof inner === 'object' && !('const' in inner)) t.ok(inner.description, `${path}.${name}`)
      }
    }
    for (const [key, inner] of Object.entries(value)) if (key !== 'if') visit(inner, `${path}.${key}`)
  }
  visit(editorSchema(builtInPlugins), 'schema')
})

t.test('an editor accepts every file that is valid, the shipped ones included', async t => {
  const schema = editorSchema(builtInPlugins)
  for (const file of [...globSync('fixtures/yaml/valid/*.yaml'), ...globSync('config/*.yaml')]) {
    t.strictSame(Value.Errors(schema, parse(readFileSync(file, 'utf8'))), [], file)
  }
})

t.test('an editor underlines what the schema alone can know', async t => {
  const schema = editorSchema(standInPlugins)
  const accepts = (text: string) => Value.Check(schema, parse(text))
  const directory = (rest: string) =>
    accepts(`backends: [{ id: x, type: directory, urls: [ldaps://a], base_dn: dc=x, ${rest} }]`)
  t.ok(accepts('backends: [{ id: local, type: local, timeout: 4s }]'))
  t.notOk(accepts('backends: [{ id: local, type: local, timeot: 4s }]'), 'an unknown key of a backend')
  t.notOk(accepts('lisen: {}'), 'an unknown section')
  t.notOk(accepts('backends: [{ id: local }]'), 'no type')
  t.notOk(accepts('backends: [{ id: local, type: lokal }]'), 'an unknown type')
  t.ok(accepts('backends: [{ id: x, type: "npm:x", anything: 1 }]'), 'options of a plugin are not known')
  t.ok(directory('bind: { dn: x, password: y }'))
  t.ok(directory('bind: { dn: x, password_file: y }'))
  t.notOk(directory('bind: { dn: x }'), 'neither form of a secret')
  t.notOk(directory('bind: { dn: x, password: y, password_file: y }'), 'both forms of a secret')
  t.ok(directory(`connect_timeout: "\${T}"`), 'a variable instead of a word')
  t.notOk(directory('connect_timeout: 4'), 'a duration without a unit')
})
