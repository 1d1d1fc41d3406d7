/** The examples in config/ for directories: how long they are. That their comments are true is a test of the LDAP backend. */
import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { parse } from 'yaml'

const folder = fileURLToPath(new URL('../../config/', import.meta.url))
const names = globSync('*.yaml', { cwd: folder })
  .filter(name => name !== 'gatehouse.yaml')
  .sort()
const read = (name: string) => readFileSync(`${folder}${name}`, 'utf8')

t.test('each example is about ten lines of settings, with the local users behind the directory', async t => {
  t.ok(names.length > 8)
  for (const name of names) {
    const settings = read(name)
      .split('\n')
      .filter(line => !/^\s*(#.*)?$/.test(line))
    t.ok(settings.length >= 8 && settings.length <= 13, `${name}: ${settings.length}`)
    t.match(parse(read(name)).backends, [{ id: 'corp', type: 'ldap' }, { type: 'email' }, { type: 'local' }])
  }
})
