import { statSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { verifySync } from '@node-rs/argon2'
import { Command, CommanderError } from 'commander'
import t, { type Test } from 'tap'
import type { CommandContext } from '../../src/commands/context.ts'
import { hashCommand } from '../../src/commands/hash.ts'
import { userCommand } from '../../src/commands/user.ts'
import { openStore, otherProcess } from '../users/temporary.ts'

const PASSWORD = 'correct horse battery'

interface Ran {
  readonly stdout: string
  readonly stderr: string
  readonly code: number
}

interface Input {
  /** What comes on standard input. */
  readonly stdin?: string | Buffer
  /** Standard input is a terminal, and this is typed there. */
  readonly typed?: string
}

/** Runs commands as main.ts does, on a database in a folder of the test. */
function cli(t: Test) {
  const database = join(t.testdir(), 'data', 'gatehouse.db')

  async function run(line: string[], { stdin = '', typed }: Input = {}): Promise<Ran> {
    const [input, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()]
    if (typed !== undefined) Object.assign(input, { isTTY: true, setRawMode: () => input })
    input.end(typed ?? stdin)
    let code = 0
    const context: CommandContext = {
      stdin: input,
      stdout,
      stderr,
      env: { GATEHOUSE_CONFIG: 'some.yaml' },
      color: false,
      loadConfig: async file => {
        t.equal(file, line.includes('--config') ? 'other.yaml' : 'some.yaml')
        return { config: { database, backends: [{ id: 'people', type: 'local' }] } } as never
      },
      setExitCode: given => {
        code = given
      },
    }
    const program = new Command().addCommand(userCommand(context)).addCommand(hashCommand(context))
    for (const command of everyCommand(program)) {
      command
        .exitOverride()
        .configureOutput({ writeOut: text => stdout.write(text), writeErr: text => stderr.write(text) })
    }
    try {
      await program.parseAsync(line, { from: 'user' })
    } catch (error) {
      if (!(error instanceof CommanderError)) throw error
      code = error.exitCode === 0 ? 0 : 2
    }
    stdout.end()
    stderr.end()
    return { stdout: await text(stdout), stderr: await text(stderr), code }
  }

  /** The password hash that is stored for a name. */
  const stored = (name: string) => openStore(t, database).store.findLogin(name)?.passwordHash ?? ''
  return { run, stored, database }
}

function everyCommand(command: Command): Command[] {
  return [command, ...command.commands.flatMap(everyCommand)]
}

t.test('a user is added, shown, listed, disabled, enabled and deleted', async t => {
  const { run, stored, database } = cli(t)
  t.strictSame(await run(['user', 'list']), { stdout: 'There are no local users.\n', stderr: '', code: 0 })
  t.equal(statSync(database).mode & 0o777, 0o600)

  const added = await run(
    [
      'user',
      'add',
      'alice',
      '--email',
      'alice@corp.example',
      '--name',
      'Alice Liddell',
      '--group',
      'staff',
      'wiki',
      '--password-stdin',
    ],
    { stdin: `${PASSWORD}\n` },
  )
  t.match(added, { stdout: /^alice is added, as people:[0-9a-f-]{36}\.\n$/, stderr: '', code: 0 })
  t.ok(verifySync(stored('alice'), PASSWORD), 'one newline was dropped')

  t.match(await run(['user', 'list', '--config', 'other.yaml']), {
    stdout:
      /^USERNAME {2}E-MAIL {14}NAME {11}GROUPS {7}STATE\nalice {5}alice@corp\.example {2}Alice Liddell {2}staff, wiki\n$/,
    code: 0,
  })
  t.match(await run(['user', 'disable', 'ALICE@corp.example']), { stdout: 'alice is disabled.\n', code: 0 })
  t.match(await run(['user', 'show', 'alice']), { stdout: /state {5}disabled\n/, code: 0 })
  t.match(await run(['user', 'enable', 'alice']), { stdout: 'alice is enabled.\n', code: 0 })
  const shown = JSON.parse((await run(['user', 'show', 'alice', '--json'])).stdout)
  t.match(shown, {
    id: /^people:/,
    username: 'alice',
    email: 'alice@corp.example',
    display_name: 'Alice Liddell',
    groups: ['staff', 'wiki'],
    disabled: false,
    created_at: /^\d{4}-\d\d-\d\dT[\d:.]+Z$/,
  })
  t.notMatch(JSON.stringify(shown), 'argon2', 'no hash is ever shown')
  t.match(await run(['user', 'delete', shown.id]), { stdout: 'alice is deleted.\n', code: 0 })
  t.match(JSON.parse((await run(['user', 'list', '--json'])).stdout), [])
})

t.test('a generated password is printed once and works', async t => {
  const { run, stored } = cli(t)
  const { stdout } = await run(['user', 'add', 'alice', '--generate'])
  const password = /^ {2}(\S+)$/m.exec(stdout)?.[1] ?? ''
  t.match(password, /^[a-z2-9]{6}(-[a-z2-9]{6}){4}$/)
  t.ok(verifySync(stored('alice'), password))
  const again = JSON.parse((await run(['user', 'passwd', 'alice', '--generate', '--json'])).stdout)
  t.match(again, { username: 'alice', password: /^[a-z2-9-]{34}$/ })
  t.ok(verifySync(stored('alice'), again.password) && !verifySync(stored('alice'), password))
  t.notMatch((await run(['user', 'show', 'alice'])).stdout, again.password)
})

t.test('a password is used as given: only one trailing newline is dropped', async t => {
  const { run, stored } = cli(t)
  await run(['user', 'add', 'alice', '--generate'])
  for (const [given, password] of [
    [`  ${PASSWORD}  `, `  ${PASSWORD}  `],
    [`${PASSWORD}\r\n`, PASSWORD],
    [`\ufeff${PASSWORD}`, `\ufeff${PASSWORD}`],
    ['ünïcödé pässwörds', 'ünïcödé pässwörds'],
  ] as const) {
    t.match(await run(['user', 'passwd', 'alice', '--password-stdin'], { stdin: given }), { code: 0 })
    t.ok(verifySync(stored('alice'), password), JSON.stringify(given))
  }
})

t.test('a password that cannot be is refused with the reason, and nothing changes', async t => {
  const { run, stored } = cli(t)
  await run(['user', 'add', 'alice-liddell-of-oxford', '--email', 'alice.liddell@corp.example', '--generate'])
  const before = stored('alice-liddell-of-oxford')
  const refused: [string | Buffer, RegExp][] = [
    ['', /the password is empty/],
    ['\n', /the password is empty/],
    ['hunter2\n', /7 characters and needs at least 15/],
    [`${PASSWORD}\n\n`, /control character/],
    ['x'.repeat(1025), /longer than 1024 bytes/],
    ['x'.repeat(100_000), /too long to be a password/],
    [Buffer.from([0xff, 0xfe, 0x41]), /not UTF-8/],
    ['Alice-Liddell-of-Oxford', /the user's own names/],
    ['alice.liddell@corp.example', /the user's own names/],
  ]
  for (const [stdin, stderr] of refused) {
    t.match(await run(['user', 'passwd', 'alice-liddell-of-oxford', '--password-stdin'], { stdin }), {
      stdout: '',
      stderr,
      code: 1,
    })
  }
  t.equal(stored('alice-liddell-of-oxford'), before)
  t.match(await run(['user', 'add', 'bob', '--password-stdin'], { stdin: 'short' }), { code: 1 })
  t.equal(stored('bob'), '', 'nor is a user made')
})

t.test('on a terminal a password is asked for twice and not shown', async t => {
  const { run, stored } = cli(t)
  const added = await run(['user', 'add', 'alice'], { typed: `${PASSWORD}\r${PASSWORD}\r` })
  t.match(added, { stdout: /^alice is added/, stderr: 'Password (not shown): \nThe same again: \n', code: 0 })
  t.ok(verifySync(stored('alice'), PASSWORD))
  t.match(await run(['user', 'passwd', 'alice'], { typed: `${PASSWORD}\rsomething else!!\r` }), {
    stderr: /the two are not the same/,
    code: 1,
  })
  t.match(await run(['user', 'passwd', 'alice'], { typed: '\u0003' }), {
    stderr: /no password was given/,
    code: 1,
  })
  t.match(await run(['user', 'passwd', 'alice'], { typed: `${PASSWORD}\r` }), {
    stderr: /no password was given/,
    code: 1,
  })
  t.match(
    await run(['user', 'passwd', 'alice'], {
      typed: `wrong\u007f\u007f\u007f\u007f\u007f${PASSWORD}!\r${PASSWORD}!\r`,
    }),
    { code: 0 },
  )
  t.ok(verifySync(stored('alice'), `${PASSWORD}!`), 'backspace works')
})

t.test('wrong usage is exit code 2, and a password is never an argument', async t => {
  const { run } = cli(t)
  for (const line of [
    ['user', 'add'],
    ['user', 'add', 'alice', PASSWORD],
    ['user', 'add', 'alice', '--password', PASSWORD],
    ['user', 'add', 'alice', '--generate', '--password-stdin'],
    ['user', 'add', 'alice'],
    ['user', 'frobnicate'],
    ['hash'],
    ['hash', PASSWORD],
  ]) {
    const { code, stdout, stderr } = await run(line)
    t.strictSame({ code, stdout }, { code: 2, stdout: '' }, line.join(' '))
    t.ok(stderr.length > 0)
  }
  t.match(
    await run(['user', 'add', 'alice']),
    { stderr: /--password-stdin/ },
    'it says what to do without a terminal',
  )
})

t.test('whom it does not know, and what is taken, is exit code 1', async t => {
  const { run } = cli(t)
  await run(['user', 'add', 'alice', '--email', 'alice@corp.example', '--generate'])
  for (const verb of ['show', 'passwd', 'disable', 'enable', 'delete']) {
    t.match(await run(['user', verb, 'no\u001b[31mbody']), {
      stdout: '',
      stderr: 'there is no local user "no\\u001b[31mbody"\n',
      code: 1,
    })
  }
  t.match(await run(['user', 'add', 'Alice', '--generate']), {
    stdout: '',
    stderr: /username is taken by "alice"/,
    code: 1,
  })
  t.match(await run(['user', 'add', 'alice@corp.example', '--generate']), {
    stderr: /e-mail address of "alice"/,
    code: 1,
  })
  t.match(await run(['user', 'add', 'bob', '--email', 'alice', '--generate']), {
    stderr: /e-mail address/,
    code: 1,
  })
})

t.test('it works while another process has the database open, and waits for its writes', async t => {
  const { run, database } = cli(t)
  await run(['user', 'add', 'alice', '--generate'])
  const { store } = openStore(t, database)
  const writer = otherProcess(t, 'hold', database, 'immediate', '300')
  await writer.lines.next()
  t.match(await run(['user', 'list']), { stdout: /alice/, code: 0 })
  t.match(await run(['user', 'disable', 'alice']), { code: 0 })
  t.equal(store.find('alice')?.disabled, true, 'and the other one sees the change')
})

t.test('hash prints an argon2id hash of any password that a login can send', async t => {
  const { run } = cli(t)
  const { stdout, code } = await run(['hash', '--password-stdin'], { stdin: 'short\n' })
  t.equal(code, 0)
  t.match(stdout, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$\S+\n$/)
  t.ok(verifySync(stdout.trim(), 'short'))
  const json = JSON.parse((await run(['hash', '--json'], { typed: 'typed\rtyped\r' })).stdout)
  t.ok(verifySync(json.hash, 'typed'))
  t.match(await run(['hash', '--password-stdin'], { stdin: '\n' }), { stdout: '', stderr: /empty/, code: 1 })
})

t.test('every command helps, with an example', async t => {
  const { run } = cli(t)
  for (const verb of ['add', 'list', 'show', 'passwd', 'disable', 'enable', 'delete']) {
    const { stdout, code } = await run(['user', verb, '--help'])
    t.equal(code, 0)
    t.match(stdout, new RegExp(`--config <file>[^]*--json[^]*Example:\n {2}gatehouse user ${verb}`), verb)
  }
  t.match((await run(['hash', '--help'])).stdout, /Example:\n {2}gatehouse hash/)
})
