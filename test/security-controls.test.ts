import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t from 'tap'

/** docs/security.md has a row for each line of security.md, and its pointers lead somewhere. */

const root = resolve(import.meta.dirname, '..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const page = read('docs/security.md')

const rows = [...page.matchAll(/^\| S(\d{2,3}) \| (.*) \| (.*) \| (.*) \|$/gm)].map(
  ([, id = '', done = '', where = '', tests = '']) => ({ id: Number(id), done, where, tests }),
)

/** A row without a test says why there is none. */
const REASON = /\b(?:For the operator|Not built|Does not apply|below)\b/

t.test('every line has one row', async t => {
  t.strictSame(
    rows.map(({ id }) => id),
    Array.from({ length: 100 }, (_, index) => index + 1),
  )
})

t.test('what a row names is there: the source, the test file, and the test by its title', async t => {
  let titles = 0
  for (const { id, where, tests } of rows) {
    const paths = [...where.matchAll(/`([^`]+)`/g)].map(([, path = '']) => path)
    for (const path of paths) t.ok(existsSync(join(root, path)), `S${id}: ${path}`)
    for (const [, file = '', named = ''] of tests.matchAll(/`(test\/[\w./-]+)` ((?:"[^"]+"(?:, )?)+)/g)) {
      const source = existsSync(join(root, file)) ? read(file) : undefined
      t.ok(source, `S${id}: ${file}`)
      for (const [, title = ''] of named.matchAll(/"([^"]+)"/g)) {
        titles += 1
        t.ok(source?.includes(title), `S${id}: ${file}: ${title}`)
      }
    }
  }
  t.ok(titles > 150, 'the table was read')
})

t.test('a row has a test, or says why it has none', async t => {
  for (const { id, done, tests } of rows) {
    const named = /"[^"]+"/.test(tests)
    t.ok(named || REASON.test(done), `S${id}`)
    // Nothing of a cell is lost to a pattern that does not fit it.
    const left = tests.replace(/`test\/[\w./-]+` (?:"[^"]+"(?:, )?)+/g, '').replaceAll(';', '')
    t.equal(left.trim(), '', `S${id}`)
  }
})
