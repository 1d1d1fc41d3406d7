import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, resolve } from 'node:path'
import t from 'tap'

/** Who may import whom (docs/architecture.md), read from the sources themselves. */

const root = resolve(import.meta.dirname, '..')
const files = globSync('src/**/*.ts', { cwd: root }).sort()

interface Import {
  readonly from: string
  /** A path in the repository, or the name of a package. */
  readonly to: string
  readonly typeOnly: boolean
}

const imports: Import[] = files.flatMap(from => {
  const source = readFileSync(join(root, from), 'utf8')
  const statements = source.matchAll(
    // The last two: what is loaded only when it is asked for.
    /^(import|export)( type)?\b[^'"`;]*?\bfrom '([^']+)'|^import '([^']+)'|\bimport\('([^']+)'\)|\bcreateRequire\(.*\)\('([^']+)'\)/gm,
  )
  return [...statements].map(([, , type, named, bare, asked, required]) => {
    const specifier = named ?? bare ?? asked ?? required ?? ''
    const to = specifier.startsWith('.')
      ? normalize(join(dirname(from), specifier))
      : specifier.startsWith('node:')
        ? 'node:'
        : specifier
            .split('/')
            .slice(0, specifier.startsWith('@') ? 2 : 1)
            .join('/')
    return { from, to, typeOnly: type !== undefined }
  })
})

/** `src/backends/ldap/servers/pool.ts` → `backends/ldap`; `src/app.ts` → `app`. */
function room(path: string): string {
  const [, first = '', second = ''] = path.split('/')
  if (first === 'backends' && path.split('/').length > 3) return `backends/${second}`
  return first.replace(/\.ts$/, '')
}

const between = imports.filter(({ to }) => to.startsWith('src/'))
const show = ({ from, to }: Import) => `${from} → ${to}`

t.test('each room imports only what it may', async t => {
  t.ok(files.length > 30 && between.length > 50, 'the sources were read')
  const allowed: Record<string, readonly string[]> = {
    authentication: [],
    errors: [],
    plugin: ['authentication'],
    lockout: ['authentication', 'errors'],
    users: ['authentication', 'errors'],
    passwords: ['authentication', 'errors'],
    observe: ['authentication', 'errors'],
    http: ['authentication', 'errors'],
    config: ['authentication', 'plugin'],
  }
  const ofBackends = ['authentication', 'errors', 'plugin']
  const seeEverything = [
    'app',
    'audit',
    // The audit trail's thread is put together apart from the process: SQLite from users/, the chain from observe/.
    'audit-worker',
    'explainer',
    'links',
    'lockout-store',
    'runtime',
    'reload',
    'main',
    'commands',
  ]
  for (const edge of between) {
    const [from, to] = [room(edge.from), room(edge.to)]
    if (from === to || seeEverything.includes(from)) continue
    if (edge.from === 'src/backends/registry.ts') {
      t.ok(to === 'plugin' || to.startsWith('backends/'), show(edge))
      continue
    }
    const mayImport = from.startsWith('backends/') ? ofBackends : allowed[from]
    t.ok(mayImport?.includes(to), show(edge))
  }
})

/** Libraries that belong to no room: the language of option schemas, and a bounded map, which knows no subject at all. */
const everywhere = ['typebox', 'lru-cache']

t.test('each third-party library is imported in one room, but for what belongs to none', async t => {
  const rooms = new Map<string, Set<string>>()
  for (const { from, to } of imports) {
    if (to.startsWith('src/') || to === 'node:' || everywhere.includes(to)) continue
    rooms.set(to, (rooms.get(to) ?? new Set()).add(room(from)))
  }
  t.ok(rooms.size > 5, 'the sources were read')
  for (const [library, users] of rooms) t.equal(users.size, 1, `${library}: ${[...users].join(', ')}`)
})

t.test('there are no import cycles', async t => {
  const edges = new Map<string, string[]>()
  for (const { from, to, typeOnly } of between) {
    if (!typeOnly) edges.set(from, [...(edges.get(from) ?? []), to])
  }
  const done = new Set<string>()
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) {
      t.fail(`cycle: ${[...path.slice(path.indexOf(file)), file].join(' → ')}`)
      return
    }
    if (done.has(file)) return
    for (const next of edges.get(file) ?? []) visit(next, [...path, file])
    done.add(file)
  }
  for (const file of files) visit(file, [])
  t.equal(done.size, files.length)
})

t.test('rooms stay small', async t => {
  for (const file of files) {
    const lines = readFileSync(join(root, file), 'utf8').split('\n').length
    t.ok(lines <= 280, `${file}: ${lines} lines`)
  }
})

t.test('the README and the docs point at files that exist', async t => {
  const pages = ['README.md', 'CHANGELOG.md', ...globSync('docs/**/*.md', { cwd: root })]
  let seen = 0
  for (const page of pages) {
    const text = readFileSync(join(root, page), 'utf8')
    const links = [...text.matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)].map(([, to = '']) =>
      join(dirname(page), to),
    )
    const paths = [
      ...text.matchAll(/`((?:src|test|docs|config|fixtures|examples|demo|scripts)\/[\w./-]+)`/g),
    ].map(([, to = '']) => to)
    for (const path of [...links, ...paths]) {
      seen++
      t.ok(existsSync(join(root, path)), `${page}: ${path}`)
    }
  }
  t.ok(seen > 10)
})
