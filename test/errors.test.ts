import { globSync, readdirSync, readFileSync } from 'node:fs'
import { basename, resolve } from 'node:path'
import t from 'tap'
import { renderErrorPages } from '../scripts/generate-error-docs.ts'
import { catalogue } from '../src/errors.ts'

const root = resolve(import.meta.dirname, '..')
const read = (path: string) => readFileSync(resolve(root, path), 'utf8')
const codes = Object.keys(catalogue)

t.test('docs/errors is what the catalogue says, page by page', async t => {
  const pages = renderErrorPages()
  t.strictSame(readdirSync(resolve(root, 'docs/errors')).sort(), [...pages.keys()].sort())
  for (const [name, text] of pages) {
    t.equal(read(`docs/errors/${name}`), text, `${name}: run node scripts/generate-error-docs.ts`)
  }
})

t.test('every code is in a test', async t => {
  const tests = globSync('test/**/*.test.ts', { cwd: root }).filter(
    path => basename(path) !== basename(import.meta.filename),
  )
  const text = tests.map(read).join('\n')
  for (const code of codes) t.ok(new RegExp(`'${code}'`).test(text), code)
})

t.test('the codes that were ever given out are still there, with the same status', async t => {
  // Never change or remove a line: apps switch on these.
  const promised = {
    account_disabled: 401,
    account_expired: 401,
    admin_forbidden: 403,
    admin_unauthenticated: 401,
    backend_unavailable: 503,
    busy_retry: 429,
    client_forbidden: 403,
    client_unauthenticated: 401,
    config_refused: 409,
    credentials_required: 401,
    identity_too_large: 403,
    internal_error: 500,
    invalid_credentials: 401,
    invalid_request: 400,
    locked_out: 429,
    logon_hours: 401,
    method_not_allowed: 405,
    not_found: 404,
    not_ready: 503,
    password_expired: 401,
    password_must_change: 401,
    rate_limited: 429,
    request_timeout: 408,
    unsupported_media_type: 415,
    user_not_found: 404,
    workstation_not_allowed: 401,
  }
  for (const [code, status] of Object.entries(promised)) {
    t.equal(catalogue[code as keyof typeof catalogue]?.status, status, code)
  }
  t.strictSame(
    codes.filter(code => !(code in promised)),
    [],
    'a new code is promised here too',
  )
})

t.test('codes and texts are fit to be shown', async t => {
  for (const [code, entry] of Object.entries(catalogue)) {
    t.match(code, /^[a-z]+(_[a-z]+)*$/)
    t.notMatch(entry.title, /[."\\\n]/, `${code}: a title is a phrase that JSON need not escape`)
    for (const text of [entry.hint, entry.developer, entry.operator]) t.match(text, /^[A-Z][^\n]+\.$/, code)
  }
})
