import { inspect } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { resolvePlugin } from '../../src/backends/registry.ts'
import { loadConfig } from '../../src/config/load.ts'
import { ConfigProblems, type Problem } from '../../src/config/problem.ts'
import { formatProblems } from '../../src/config/report.ts'
import { showConfig } from '../../src/config/show.ts'
import { definePlugin, SecretOption, Type } from '../../src/plugin.ts'
import { runs } from '../support/runs.ts'

/** The inline secret. Never part of the text's own words, so that finding any long piece of it is a leak. */
const CANARY = 'Zq9Xw7Vk3Jy5Bn1'
const PIECES = Array.from({ length: CANARY.length - 6 }, (_, start) => CANARY.slice(start, start + 7))
/** What an environment variable holds. `config show` tells it where an option that is no secret takes it; errors never do. */
const FROM_ENVIRONMENT = 'Rt4Gh8Lm2Pd6Fs0'

/** So many words announce a secret that three mutations leave one: a syntax error shows its line where none does. */
const TEXTS = [
  `# Two directories and an app.
listen: { host: 0.0.0.0, port: 8470 }
clients:
  - id: wiki
    key_sha256: ${CANARY}
    may: [assert_client_ip]
backends:
  - id: corp
    type: ldap
    preset: openldap
    urls: [ldaps://dc1.corp.example]
    bind:
      dn: cn=svc,dc=corp
      password: ${CANARY}
    base_dn: dc=corp
    timeout: 4s
  - { id: lab, type: ldap, preset: openldap, urls: [ldaps://lab], bind: { dn: cn=x, password: "${CANARY}" }, base_dn: dc=lab }
  - id: local
    type: local
lockout:
  store: redis
  redis: { url: "rediss://redis.corp.example", username: gatehouse, password: "${CANARY}" }
  secret: ${CANARY.repeat(3)}
`,
  `backends:
  - id: corp
    type: ldap
    preset: openldap
    urls:
      - ldaps://dc1.corp.example
    bind: {
      dn: 'cn=svc, dc=corp',   # the service account
      password: '${CANARY}',
    }
    base_dn: dc=corp
    attributes: { department: ou }
  - id: other
    type: ldap
    preset: openldap
    base_dn: dc=other
    urls: [ldaps://dc2.corp.example]
    bind:
      password: |-
        ${CANARY}
      dn: cn=svc
  - { id: third, type: ldap, preset: openldap, urls: [ldaps://x], bind: { dn: cn=x, password: "\${SECRET}" }, base_dn: dc=x }
  - id: fourth
    type: ldap
    preset: openldap
    urls: [ldaps://y]
    bind: { dn: cn=y, password: x }
    base_dn: dc=y
lockout: { secret: "\${SECRET}\${SECRET}\${SECRET}", redis: { url: 'redis://localhost', password: '${CANARY}' } }
`,
]

interface Shown {
  readonly problems: string
  readonly everything: string
}

/** What loading a text can make visible. */
async function show(text: string): Promise<Shown> {
  try {
    const loaded = await loadConfig({
      file: 'gatehouse.yaml',
      env: { SECRET: FROM_ENVIRONMENT },
      resolvePlugin,
      readFile: async () => ({ bytes: Buffer.from(text), mode: 0o100600 }),
    })
    const problems = print(loaded.warnings)
    const objects = [loaded.effective, loaded.config]
    const everything = [
      problems,
      showConfig(loaded),
      JSON.stringify(objects),
      inspect(objects, { depth: 20 }),
    ].join()
    return { problems, everything }
  } catch (error) {
    if (!(error instanceof ConfigProblems)) throw error
    const problems = [print(error.problems), error.stack].join()
    return { problems, everything: problems }
  }
}

function print(problems: readonly Problem[]): string {
  return formatProblems(problems, { color: true }) + JSON.stringify(problems)
}

type Mutation = (text: string) => string

const at = fc.nat({ max: 1_500 })
const piece = fc.oneof(
  fc.constantFrom(
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
    '#',
    ' #',
    '&',
    '*',
    '!',
    '|',
    '>',
    '\t',
  ),
  fc.constantFrom(
    '<<',
    '---\n',
    '...\n',
    '%YAML 1.1\n',
    `\${SECRET}`,
    `\${NONE}`,
    '${',
    '\u0000',
    '\uD800',
    '\u2028',
    '🙂',
    ' ',
  ),
  fc.string({ minLength: 1, maxLength: 3 }),
)

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.tuple(at, piece).map(
    ([index, added]): Mutation =>
      text =>
        text.slice(0, index) + added + text.slice(index),
  ),
  fc.tuple(at, piece).map(
    ([index, added]): Mutation =>
      text =>
        text.slice(0, index) + added + text.slice(index + 1),
  ),
  at.map(
    (index): Mutation =>
      text =>
        text.slice(0, index) + text.slice(index + 1),
  ),
  at.map(
    (index): Mutation =>
      text =>
        text.slice(0, index),
  ),
  fc.tuple(at, at).map(
    ([from, to]): Mutation =>
      text =>
        mapLines(text, lines => lines.splice(from % lines.length, 0, copied(lines[to % lines.length]))),
  ),
  at.map(
    (index): Mutation =>
      text =>
        mapLines(text, lines => lines.splice(index % lines.length, 1)),
  ),
  fc.tuple(at, fc.nat({ max: 8 })).map(
    ([index, indent]): Mutation =>
      text =>
        mapLines(text, lines =>
          lines.splice(
            index % lines.length,
            1,
            ' '.repeat(indent) + (lines[index % lines.length] ?? '').trimStart(),
          ),
        ),
  ),
)

/** A bare secret copied behind another option would be that option's value. */
function copied(line = ''): string {
  return line.trim() === CANARY ? '' : line
}

function mapLines(text: string, change: (lines: string[]) => unknown): string {
  const lines = text.split('\n')
  change(lines)
  return lines.join('\n')
}

t.test('the texts themselves say nothing of the secret', async t => {
  for (const text of TEXTS) t.notMatch((await show(text)).everything, CANARY)
})

t.test('however a file is broken, nothing but ConfigProblems is thrown and no secret is shown', async t => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...TEXTS),
      fc.array(mutation, { minLength: 1, maxLength: 3 }),
      async (text, mutations) => {
        const broken = mutations.reduce((sum, mutate) => mutate(sum), text)
        const { problems, everything } = await show(broken)
        const leaked = PIECES.find(part => everything.includes(part)) ?? problems.includes(FROM_ENVIRONMENT)
        if (leaked) throw new Error(`leaked ${leaked}:\n${broken}\n---\n${everything}`)
      },
    ),
    { numRuns: runs(800) },
  )
  t.pass()
})

t.test('text that never was a configuration is refused in the same way', async t => {
  const noise = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.array(piece, { maxLength: 60 }).map(parts => parts.join('')),
    fc.json(),
  )
  await fc.assert(
    fc.asyncProperty(noise, async text => void (await show(text))),
    { numRuns: runs(500) },
  )
  t.pass()
})

t.test('what a plugin says its options come to shows no secret, whatever it says', async t => {
  const plugin = definePlugin({
    type: 'chatty',
    apiVersion: 1,
    options: Type.Object({
      token: SecretOption('What it logs in with.'),
      more: Type.Optional(Type.String()),
    }),
    implied: ({ token }) => ({
      token: token.reveal(),
      stranger: token.reveal(),
      more: 'harmless',
      none: undefined,
    }),
    create: () => Promise.reject(new Error('not wanted')),
  })
  const loaded = await loadConfig({
    file: 'gatehouse.yaml',
    env: {},
    resolvePlugin: async () => plugin,
    readFile: async () => ({
      bytes: Buffer.from(`backends: [{ id: a, type: chatty, token: ${CANARY} }]`),
      mode: 0o100600,
    }),
  })
  const shown = showConfig(loaded)
  t.match(shown, /more: harmless # default/)
  t.notMatch(shown, /none:/)
  t.notMatch([shown, JSON.stringify(loaded.effective), inspect(loaded.effective)].join(), CANARY)
})
