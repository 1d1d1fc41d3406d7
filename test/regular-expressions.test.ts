import { globSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { check } from 'recheck'
import t from 'tap'

/** Every regular expression of the product takes linear time, whatever it is given (security.md S94). */

const root = resolve(import.meta.dirname, '..')

/** A literal where an expression may begin, so that no division is taken for one. */
const LITERAL =
  /(?<=[=(,:!&|?;{}[\n]|return|=>)\s*\/(?![*/])((?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+)\/([dgimsuvy]*)(?=[\s.,;)\]}])/g

interface Found {
  readonly file: string
  readonly source: string
  readonly flags: string
}

const found: Found[] = globSync('src/**/*.ts', { cwd: root })
  .sort()
  .flatMap(file =>
    [...readFileSync(join(root, file), 'utf8').matchAll(LITERAL)].map(([, source = '', flags = '']) => ({
      file,
      source,
      flags,
    })),
  )

/** What is not linear, and why that is no weapon: a polynomial of a short text, or of a text that no stranger writes. */
const KNOWN: ReadonlyMap<string, string> = new Map([
  [
    '^([a-z][a-z0-9-]*)=(.+?),((?:(?:ou|dc|o|cn)=[^,]+)(?:,(?:ou|dc|o|cn)=[^,]+)*)$',
    'syntax/dn.ts gives it at most 1,024 characters, of a directory',
  ],
  ['ALERT_([A-Z_]+)$', 'the code of an error of OpenSSL'],
  [': error:.*key values mismatch', 'a message of OpenSSL, for `doctor`'],
  [String.raw`^(.*)\[\n\s+([^[\]{}]*?)\n\s+\](,?)$`, 'the schema of our own that editors read'],
  [String.raw`^(["']?(?:[a-z][\w+.-]*:(?:\\?\/)+|(?:\\?\/){2})?)(.*)@`, 'the operator’s own configuration'],
  [String.raw`[\w-]*(?:pas|pwd|word|secr|tok|cred|key)[\w-]*`, 'the operator’s own configuration'],
  [String.raw`^\s*#.*$|key_sha256: *["']?[0-9a-f]{64}\b`, 'the operator’s own configuration'],
  [String.raw`\/\\?\/.*@`, 'the operator’s own configuration'],
  [String.raw`(?<!\$)[{[].*\$\{`, 'the operator’s own configuration'],
])

t.test('no regular expression can be made to take long', { timeout: 180_000 }, async t => {
  t.ok(found.length > 150, 'the sources were read')
  const exceptions = new Set<string>()
  for (const { file, source, flags } of found) {
    const verdict = await check(source, flags)
    if (verdict.status === 'safe') continue
    exceptions.add(source)
    t.ok(KNOWN.has(source), `${file}: ${source}`)
    t.match(verdict, { status: 'vulnerable', complexity: { type: 'polynomial' } }, `${file}: ${source}`)
  }
  t.same([...exceptions].sort(), [...KNOWN.keys()].sort(), 'no exception without an expression')
})

t.test('what takes exponential time would be found', async t => {
  t.match(await check('^(?:[^,]+|\\\\.)*$', ''), {
    status: 'vulnerable',
    complexity: { type: 'exponential' },
  })
})

t.test(
  'expressions that are put together at run time are counted, so that a new one is looked at',
  async t => {
    const built = globSync('src/**/*.ts', { cwd: root }).flatMap(file =>
      [...readFileSync(join(root, file), 'utf8').matchAll(/new RegExp\(([^)]*)\)/g)].map(
        ([, what]) => `${file}: ${what}`,
      ),
    )
    t.same(built.sort(), [
      // A schema’s own pattern on a key of the operator’s file.
      'src/config/json-schema.ts: pattern',
      'src/config/quantity.ts: DAYS_PATTERN',
      'src/config/quantity.ts: DURATION_PATTERN',
      'src/config/quantity.ts: SIZE_PATTERN',
    ])
  },
)
