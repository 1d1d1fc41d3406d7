import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'

/** The log writes to standard output, so each one runs in a process of its own. */
async function run(settings: object, terminal: object, statements: string): Promise<string> {
  const room = (name: string) => JSON.stringify(new URL(`../../src/${name}`, import.meta.url).href)
  const script = `
    import { Secret } from ${room('authentication/secret.ts')}
    import { createLog } from ${room('observe/log.ts')}
    const { log, close } = createLog(${JSON.stringify({ maxPerSecond: 200, ...settings })}, ${JSON.stringify(terminal)})
    ${statements}
    await close()`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script])
  return stdout
}

const TERMINAL = { isTty: true, color: false }
const PIPE = { isTty: false, color: false }

t.test('auto is a JSON object a line for a pipe, and words for people on a terminal', async t => {
  const hello = `log.child({ backend: 'corp' }).info({ event: 'x' }, 'hello')`
  const json = await run({ level: 'info', format: 'auto' }, PIPE, hello)
  t.match(JSON.parse(json), { level: 'info', backend: 'corp', event: 'x', msg: 'hello' })
  t.match(JSON.parse(json).time, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/, 'UTC (security.md S75)')
  const words = await run({ level: 'info', format: 'auto' }, TERMINAL, hello)
  t.match(words, /INFO: hello \{"backend":"corp","event":"x"\}\n$/)
  t.match(await run({ level: 'info', format: 'json' }, TERMINAL, hello), /^\{/, 'unless told otherwise')
  t.match(await run({ level: 'info', format: 'pretty' }, PIPE, hello), /INFO: hello/)
  const colours = await run({ level: 'info', format: 'auto' }, { isTty: true, color: true }, hello)
  t.ok(colours.includes('\u001b['))
  t.notOk(words.includes('\u001b['))
})

t.test('less important lines than the level stay away', async t => {
  const all = `log.debug({}, 'd'); log.info({}, 'i'); log.warn({}, 'w'); log.error({}, 'e'); log.fatal({}, 'f')`
  const said = await run({ level: 'warn', format: 'json' }, PIPE, all)
  t.strictSame(
    said
      .trim()
      .split('\n')
      .map(line => JSON.parse(line).msg),
    ['w', 'e', 'f'],
  )
})

t.test('a flood is cut, and what was left out is told before the end (S84)', async t => {
  const flood = `for (let line = 0; line < 1_000; line++) log.child({ line }).info({}, 'refused')`
  const said = await run({ level: 'info', format: 'json', maxPerSecond: 50 }, PIPE, flood)
  const lines = said
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
  t.equal(lines.filter(({ msg }) => msg === 'refused').length % 50, 0)
  t.match(lines.at(-1), { level: 'info', event: 'log_suppressed', of: 'refused' })
  const told = lines.reduce((sum, { suppressed = 1 }) => sum + suppressed, 0)
  t.equal(told, 1_000, 'nothing is lost without a word')
})

t.test('a secret cannot be printed, and no value starts a line of its own', async t => {
  const nasty = `log.error({ password: new Secret('canary'), deep: [{ it: new Secret('canary') }],
    name: 'a\\n{"level":"info"}\\u001b[31m', err: new Error('no \\n luck') }, 'said')`
  for (const format of ['json', 'pretty']) {
    const said = await run({ level: 'info', format }, PIPE, nasty)
    t.notMatch(said, 'canary', format)
    t.match(said, /\[secret\]/, format)
    t.notOk(said.includes('\u001b'), format)
    t.notOk(said.includes('\n{"level":"info"}'), format)
  }
})
