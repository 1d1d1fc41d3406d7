/** Configuration files as they come out of a bad edit: a configuration or its mistakes with their places, and nothing else. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import t from 'tap'
import { type Document, type Pair, parse, parseDocument, Scalar, visit } from 'yaml'
import { resolvePlugin } from '../../src/backends/registry.ts'
import type { LoadedConfig } from '../../src/config/config.ts'
import { loadConfig } from '../../src/config/load.ts'
import { ConfigProblems, type Problem } from '../../src/config/problem.ts'
import { readFromDisk } from '../../src/config/secret-file.ts'
import { showConfig } from '../../src/config/show.ts'
import { escapeVariables, expandVariables } from '../../src/config/variables.ts'
import { runs } from '../support/runs.ts'

process.chdir(fileURLToPath(new URL('../..', import.meta.url)))

const env = { WORD: 'word', NUMBER: '8470', YES: 'true', LOCALHOST: '127.0.0.1', LEVEL: 'debug' }
const FILE = 'gatehouse.yaml'

function load(text: string): Promise<LoadedConfig> {
  return loadConfig({
    file: FILE,
    env,
    resolvePlugin,
    async readFile(path) {
      if (path === FILE) return { bytes: Buffer.from(text), mode: 0o100600 }
      // The examples name files of other machines.
      if (path.startsWith('/'))
        return { bytes: Buffer.from('what-stands-there-is-long-enough'), mode: 0o100600 }
      return { bytes: (await readFromDisk(path)).bytes, mode: 0o100600 }
    },
  })
}

const texts = globSync(['fixtures/yaml/valid/*.yaml', 'config/*.yaml'])
  .sort()
  .map(file => readFileSync(file, 'utf8'))

/** The problems of a text; those of one that is fine are its warnings. */
async function problemsOf(text: string): Promise<readonly Problem[]> {
  try {
    return (await load(text)).warnings
  } catch (error) {
    if (error instanceof ConfigProblems) {
      assert.ok(error.problems.some(({ severity }) => severity === 'error'))
      return error.problems
    }
    throw error
  }
}

/** Every place is a place in the text, in order, and every word fits on a line. */
function assertPlaced(problems: readonly Problem[], text: string): void {
  const lines = text.split('\n')
  let before = 0
  for (const { file, line, column, message, hint, excerpt } of problems) {
    assert.equal(file, FILE)
    for (const words of [message, hint ?? 'none']) assert.match(words, /^[^\n\r]+$/)
    if (line === undefined || column === undefined) {
      assert.equal(line ?? column ?? excerpt, undefined)
      continue
    }
    const at = lines[line - 1]
    assert.ok(at !== undefined, `line ${line} of ${lines.length}`)
    assert.ok(column >= 1 && column <= at.length + 1, `column ${column} of ${at.length}`)
    assert.ok(line >= before, 'in the order of the file')
    before = line
  }
}

const token = fc.constantFrom(
  ...[
    ':',
    ': ',
    ',',
    '"',
    "'",
    '\n',
    '\n  ',
    '{',
    '}',
    '[',
    ']',
    '- ',
    '? ',
    '#',
    ' #',
    '\t',
    '\r',
    '\r\n',
    '|',
    '>-',
  ],
  ...[
    '&a ',
    '*a ',
    '&a [*a]',
    '<<: *a',
    '!!str ',
    '!!binary ',
    '!<x> ',
    '!!js/function ',
    '!x ',
    '%TAG ! x\n',
    '---\n',
  ],
  ...[
    'null',
    '~',
    'yes',
    '0x1F',
    '1e999',
    '-',
    '.nan',
    '2026-01-01',
    '[]',
    '{}',
    '""',
    '9007199254740993',
    '5m',
    '-1s',
  ],
  ...[
    `\${NUMBER}`,
    `\${`,
    '$$',
    '\u0000',
    '\ufeff',
    '\u2028',
    '\u0085',
    '🙂',
    '\ud800',
    '__proto__: 1\n',
    'constructor',
  ],
)
const WORDS = /[\w./${}:-]+|[^\w\s]|\s+/g

type Edit = (text: string) => string

const place = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })

function onParts(change: (parts: string[], at: (where: number) => number) => void): Edit {
  return text => {
    const parts = text.match(WORDS) ?? []
    change(parts, where => Math.floor(where * parts.length))
    return parts.join('')
  }
}

const edit: fc.Arbitrary<Edit> = fc.oneof(
  fc.tuple(place, token).map(([where, added]) => onParts((parts, at) => parts.splice(at(where), 0, added))),
  fc.tuple(place, token).map(([where, added]) => onParts((parts, at) => parts.splice(at(where), 1, added))),
  fc.tuple(place, fc.nat(3)).map(([where, many]) => onParts((parts, at) => parts.splice(at(where), many))),
  fc
    .tuple(place, place)
    .map(([from, to]) => onParts((parts, at) => parts.splice(at(from), 1, parts[at(to)] ?? ''))),
  // Whole lines: twice, moved, indented otherwise.
  fc.tuple(place, place, fc.nat(8)).map(
    ([from, to, indent]): Edit =>
      text => {
        const lines = text.split('\n')
        const line = lines[Math.floor(from * lines.length)] ?? ''
        lines.splice(Math.floor(to * lines.length), 0, ' '.repeat(indent) + line.trimStart())
        return lines.join('\n')
      },
  ),
  place.map(
    (where): Edit =>
      text =>
        text.slice(0, Math.floor(where * text.length)),
  ),
)

t.test(
  'whatever is done to a file, it is a configuration or a list of mistakes with their places',
  async t => {
    let fine = 0
    let faulty = 0
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...texts),
        fc.array(edit, { minLength: 1, maxLength: 4 }),
        async (text, edits) => {
          const edited = edits.reduce((sum, change) => change(sum), text)
          const problems = await problemsOf(edited)
          // The file is read as UTF-8, in which a lone surrogate is the replacement character; a mark at its start is none of it.
          assertPlaced(problems, edited.toWellFormed())
          if (problems.some(({ severity }) => severity === 'error')) faulty += 1
          else fine += 1
        },
      ),
      { numRuns: runs(400) },
    )
    t.ok(fine > 0 && faulty > 0, `${fine} were fine, ${faulty} were not`)
  },
)

t.test('noise is a list of mistakes, too', async () => {
  const noise = fc.oneof(
    fc.array(token, { maxLength: 40 }).map(parts => parts.join('')),
    fc.string({ unit: 'binary', maxLength: 100 }),
    fc.json(),
    fc
      .tuple(fc.constantFrom('backends', 'clients', 'lockout', 'listen', 'log'), fc.json())
      .map(([key, json]) => `${key}: ${json}`),
  )
  await fc.assert(
    fc.asyncProperty(noise, async text => {
      assertPlaced(await problemsOf(text), text.toWellFormed())
    }),
    { numRuns: runs(300) },
  )
})

t.test('bytes that are no text are refused as such', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 60 }), async bytes => {
      const readFile = async () => ({ bytes: Buffer.from(bytes), mode: 0o100600 })
      await loadConfig({ file: FILE, env, resolvePlugin, readFile }).catch(error => {
        assert.ok(error instanceof ConfigProblems, String(error))
      })
    }),
  )
})

t.test('a file made to explode is refused in bounded time', async t => {
  const bombs: Readonly<Record<string, string>> = {
    'aliases of aliases': `a0: &a0 [x]\n${Array.from({ length: 60 }, (_, n) => `a${n + 1}: &a${n + 1} [*a${n}, *a${n}]\n`).join('')}`,
    'mappings of mappings': `a0: &a0 {x: y}\n${Array.from({ length: 60 }, (_, n) => `a${n + 1}: &a${n + 1} {k: *a${n}, l: *a${n}}\n`).join('')}`,
    'a hundred thousand brackets': '['.repeat(100_000),
    'a hundred thousand braces': '{a: '.repeat(100_000),
    'steps without end': Array.from({ length: 1_000 }, (_, depth) => `${' '.repeat(depth)}a:\n`).join(''),
    'entries in entries': '- '.repeat(20_000),
    'many anchors': Array.from({ length: 2_000 }, (_, n) => `k${n}: &a${n} x\n`).join(''),
    'many aliases of one': `a: &a x\nb: [${'*a, '.repeat(20_000)}]\n`,
    'more than a configuration': '# a comment\n'.repeat(200_000),
    'a long line': `a: ${'x'.repeat(1_000_000)}`,
    'many quotes': '"'.repeat(20_001),
    'many unknown keys': Array.from({ length: 1_000 }, (_, n) => `backendz${n}: 1\n`).join(''),
    'many documents': '--- a\n'.repeat(5_000),
    'one key many times': 'log: {}\n'.repeat(5_000),
    'many tags': `a: ${'!x '.repeat(5_000)}`,
    'many backends': `backends:\n${'  - { id: x, type: ldap }\n'.repeat(200)}`,
    blanks: ' '.repeat(500_000),
    tabs: '\t'.repeat(100_000),
    comments: '#\n'.repeat(30_000),
    variables: `log: { level: "${`\${LEVEL}`.repeat(20_000)}" }`,
    'open variables': `log: { level: "${`\${`.repeat(50_000)}" }`,
  }
  for (const [what, bomb] of Object.entries(bombs)) {
    const started = performance.now()
    const problems = await problemsOf(bomb)
    const tookMs = performance.now() - started
    t.ok(tookMs < 8_000, `${what}: ${Math.round(tookMs)} ms`)
    assertPlaced(problems, bomb)
    t.ok(problems.length <= 101, what)
    t.ok(JSON.stringify(problems).length < 200_000, `${what} is not told at length`)
  }
})

/** The keys of every mapping in another order, every text in other quotes, comments and styles changed: the same to YAML. */
function rewrite(text: string, choices: readonly number[]): string {
  let drawn = 0
  const choose = (below: number) => Math.floor((choices[drawn++ % choices.length] ?? 0) * below)
  const document: Document = parseDocument(text)
  // An alias must stay behind its anchor.
  const mayMove = !/[&*]\w/.test(text)
  visit(document, {
    Map(_, map) {
      if (mayMove) map.items = shuffled(map.items as Pair[], choose)
      if (choose(3) === 0) map.flow = choose(2) === 0
      if (choose(4) === 0) map.comment = ' changed nothing'
    },
    Seq(_, list) {
      if (choose(3) === 0) list.flow = choose(2) === 0
    },
    Scalar(key, scalar) {
      if (key === 'key' || typeof scalar.value !== 'string') return
      scalar.type =
        ([Scalar.QUOTE_DOUBLE, Scalar.QUOTE_SINGLE, Scalar.PLAIN] as const)[choose(3)] ?? Scalar.PLAIN
      if (choose(4) === 0) scalar.comment = ' nor this'
    },
  })
  return document.toString({ lineWidth: 0 })
}

function shuffled<T>(items: readonly T[], choose: (below: number) => number): T[] {
  const rest = [...items]
  return items.map(() => rest.splice(choose(rest.length), 1)[0] as T)
}

t.test('any text can be written so that it is read as itself, beside variables too', async () => {
  const some = fc.array(fc.constantFrom('$', '{', '}', '${', '$${', 'NAME', ' ', 'x'), { maxLength: 12 })
  fc.assert(
    fc.property(some, some, (before, after) => {
      const [first, last] = [before.join(''), after.join('')]
      const written = `${escapeVariables(first)} \${NAME} ${escapeVariables(last)}`
      assert.deepEqual(expandVariables(written, { NAME: `\${NAME}` }), {
        text: `${first} \${NAME} ${last}`,
        names: ['NAME'],
        faults: [],
      })
    }),
    { numRuns: runs(300) },
  )
})

const variables = /\$\{/
const plain = texts.filter(text => !variables.test(text))

t.test('order, quotes, style and comments mean nothing', async t => {
  const choices = fc.array(place, { minLength: 5, maxLength: 50 })
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...plain), choices, async (text, chosen) => {
      const other = rewrite(text, chosen)
      const [before, after] = [
        await load(text),
        await load(other).catch(error => assert.fail(`${error}\n${other}`)),
      ]
      assert.deepEqual(after.effective, before.effective)
      assert.deepEqual(
        after.warnings.map(({ message }) => message).sort(),
        before.warnings.map(({ message }) => message).sort(),
      )
    }),
    { numRuns: runs(150) },
  )
  t.ok(plain.length > 10)
})

t.test('what `config show` prints is a configuration, and the same one', async t => {
  for (const text of texts) {
    const loaded = await load(text)
    const shown = showConfig(loaded)
    t.strictSame(parse(shown.replaceAll('$${', () => '${')), loaded.effective, 'it is what holds')
    // All but the secrets, which it masks.
    const again = await load(shown.replaceAll('[secret]', 'a-secret-of-more-than-thirty-two-bytes'))
    t.strictSame(again.effective, loaded.effective)
  }
})
