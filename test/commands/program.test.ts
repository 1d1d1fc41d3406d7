/** What holds for every command line, whatever it does. */
import { PassThrough } from 'node:stream'
import t from 'tap'
import { runProgram } from '../../src/commands/program.ts'

interface Ran {
  readonly out: string
  readonly err: string
  readonly code: number
}

async function run(args: readonly string[]): Promise<Ran> {
  let [out, err, code] = ['', '', 0]
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  stdout.setEncoding('utf8').on('data', text => {
    out += text
  })
  stderr.setEncoding('utf8').on('data', text => {
    err += text
  })
  const context = {
    stdin: new PassThrough().end('a password\n'),
    stdout,
    stderr,
    env: {},
    color: false,
    loadConfig: () => Promise.reject(new Error('this command has read the configuration')),
    setExitCode: (next: number) => {
      code = next
    },
  }
  await runProgram(args, context, '1.2.3')
  return { out, err, code }
}

/** The names under "Commands:" of a help text. */
function subcommands(help: string): string[] {
  const [, list = ''] = /^Commands:\n((?: {2}.*\n)+)/m.exec(help) ?? []
  return [...list.matchAll(/^ {2}([a-z]+)/gm)].map(([, name = '']) => name).filter(name => name !== 'help')
}

/** Every command that can be typed, groups included. */
async function everyCommand(path: readonly string[] = []): Promise<string[][]> {
  const { out } = await run([...path, '--help'])
  const inner = await Promise.all(subcommands(out).map(name => everyCommand([...path, name])))
  return [[...path], ...inner.flat()]
}

const commands = await everyCommand()
const leaves = commands.filter(
  path => !commands.some(other => other.length > path.length && path.every((word, at) => other[at] === word)),
)

t.test('--help is there for every command, with an example of that very command', async t => {
  t.ok(commands.length > 15, commands.join('; '))
  for (const path of commands) {
    const { out, code } = await run([...path, '--help'])
    const name = ['gatehouse', ...path].join(' ')
    t.equal(code, 0, name)
    t.ok(out.split(/^Examples?:$/m)[1]?.startsWith(`\n  ${name} `), name)
  }
})

t.test('every command takes --config', async t => {
  t.ok(leaves.some(path => path.join(' ') === 'client add') && leaves.length > 10)
  for (const path of leaves) {
    t.match((await run([...path, '--help'])).out, /^ {2}--config <file> /m, path.join(' '))
  }
})

t.test('a command that needs no configuration does not read the file', async t => {
  const rows: [string[], RegExp][] = [
    [['hash', '--password-stdin'], /^\$argon2id\$/],
    [['client', 'add', 'wiki'], /key_sha256/],
    [['config', 'schema'], /"\$schema"/],
  ]
  for (const [args, expected] of rows) {
    const { out, err, code } = await run([...args, '--config', 'nowhere.yaml'])
    t.equal(code, 0, err)
    t.match(out, expected)
  }
})
