/** The examples in config/: ten lines that are enough, and every other option in a comment that says the truth. */
import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { isMap, parse, parseDocument } from 'yaml'
import { options } from '../../src/backends/ldap/options.ts'
import { resolvePlugin } from '../../src/backends/registry.ts'
import { loadConfig } from '../../src/config/load.ts'

const folder = fileURLToPath(new URL('../../config/', import.meta.url))
const names = globSync('*.yaml', { cwd: folder })
  .filter(name => name !== 'gatehouse.yaml')
  .sort()
const read = (name: string) => readFileSync(`${folder}${name}`, 'utf8')

/** The options that stand in comments: those of the backend, and under "further in x" those within x. */
function commentedOptions(text: string): Map<string, unknown> {
  const found = new Map<string, unknown>()
  const lines = text.split('\n')
  for (const [at, line] of lines.entries()) {
    const [, within, key] = /^ {4}# (?:further in ([a-z]+):$|([a-z_]+):(?: |$))/.exec(line) ?? []
    if (within === undefined && key === undefined) continue
    const rest = lines.slice(at + 1)
    const end = rest.findIndex(next => !/^ {4}#( {3}[a-z]| {10,}#)/.test(next))
    const block = [...(key === undefined ? [] : [line]), ...rest.slice(0, end)]
    const value = parse(block.map(each => each.replace(/^ {4}# /, '')).join('\n'))
    for (const [name, inner] of Object.entries(value)) found.set(within ? `${within}.${name}` : name, inner)
  }
  return found
}

t.test('each example is about ten lines of settings, with the local users behind the directory', async t => {
  t.ok(names.length > 8)
  for (const name of names) {
    const settings = read(name)
      .split('\n')
      .filter(line => !/^\s*(#.*)?$/.test(line))
    t.ok(settings.length >= 8 && settings.length <= 12, `${name}: ${settings.length}`)
    t.match(parse(read(name)).backends, [{ id: 'corp', type: 'ldap' }, { type: 'email' }, { type: 'local' }])
  }
})

t.test('what is commented out can be taken in, and leaves out no option', async t => {
  for (const name of names) {
    const text = read(name)
    const commented = commentedOptions(text)
    t.ok(commented.has('groups') && commented.has('pool') && commented.size > 8, `${name}: ${commented.size}`)
    const document = parseDocument(text)
    for (const [option, value] of commented) document.setIn(['backends', 0, ...option.split('.')], value)
    const bytes = Buffer.from(String(document))
    const readFile = async () => ({ bytes, mode: 0o600 })
    const { config, warnings } = await loadConfig({ file: name, env: {}, resolvePlugin, readFile })
    t.equal(config.backends.length, 3, name)
    const surprising = warnings.filter(({ message }) => !/a secret stands in this file/.test(message))
    t.strictSame(surprising, [], name)
    const corp = document.getIn(['backends', 0])
    const given = isMap(corp) ? corp.items.map(({ key }) => String(key)) : []
    for (const option of Object.keys(options.properties)) {
      t.ok(given.includes(option) || text.includes(` ${option}: `), `${name}: ${option}`)
    }
  }
})
