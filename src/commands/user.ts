import { Command, Option } from 'commander'
import { systemClock } from '../authentication/clock.ts'
import type { Secret } from '../authentication/secret.ts'
import { createUsernameNormaliser } from '../authentication/username.ts'
import { configFile } from '../config/config-file.ts'
import { createPasswordHasher } from '../passwords/hasher.ts'
import { openDatabase } from '../users/database.ts'
import { randomPassword } from '../users/random-password.ts'
import { createUserStore, type UserStore } from '../users/store.ts'
import type { StoredUser } from '../users/user.ts'
import type { CommandContext } from './context.ts'
import { CommandFailure, reportingFailure } from './failure.ts'
import { readPassword } from './password-input.ts'
import { formatUser, formatUsers, type ShownUser, showUser } from './user-output.ts'

/** A command may wait longer for the daemon's writes than the daemon for a command's. */
const BUSY_TIMEOUT_MS = 5_000

interface Options {
  readonly config?: string
  readonly json?: boolean
}

interface PasswordOptions extends Options {
  readonly passwordStdin?: boolean
  readonly generate?: boolean
}

interface AddOptions extends PasswordOptions {
  readonly email?: string
  readonly name?: string
  readonly group?: readonly string[]
}

/** What one command works on. */
interface Desk {
  readonly store: UserStore
  readonly show: (user: StoredUser) => ShownUser
}

/** The local users: works beside a running daemon, which sees each change at its next attempt. */
export function userCommand(context: CommandContext): Command {
  const user = new Command('user')
    .description('local users')
    .addHelpText(
      'after',
      '\nExample:\n  gatehouse user add alice --email alice@corp.example --group staff --generate',
    )
  const { stdout } = context

  async function atDesk(file: string | undefined, work: (desk: Desk) => Promise<void>): Promise<void> {
    const { config } = await context.loadConfig(configFile(file, context.env))
    const log = { warn: (_fields: object, message: string) => void context.stderr.write(`${message}\n`) }
    const database = openDatabase(config.database, { log, busyTimeoutMs: BUSY_TIMEOUT_MS })
    try {
      const store = createUserStore({ database, normalise: createUsernameNormaliser([]), clock: systemClock })
      const backend = config.backends.find(({ type }) => type === 'local')?.id ?? 'local'
      await work({ store, show: stored => showUser(stored, backend) })
    } finally {
      database.close()
    }
  }

  async function newPassword(
    options: PasswordOptions,
    names: readonly (string | undefined)[],
  ): Promise<Secret> {
    if (options.generate) return randomPassword()
    const password = await readPassword(context, options.passwordStdin === true)
    // Its list of common passwords is nothing that the daemon should carry about.
    const { checkNewPassword } = await import('../passwords/policy.ts')
    const allowed = checkNewPassword(
      password,
      names.filter(name => name !== undefined),
    )
    if (!allowed.ok) throw new CommandFailure(allowed.problem)
    return password
  }

  function answer(
    shown: ShownUser,
    said: string,
    { json, generate }: PasswordOptions,
    password?: Secret,
  ): void {
    const generated = generate ? password?.reveal() : undefined
    if (json) stdout.write(`${JSON.stringify({ ...shown, ...(generated && { password: generated }) })}\n`)
    else stdout.write(`${said}\n${generated ? `\nThe password, shown this once:\n\n  ${generated}\n\n` : ''}`)
  }

  async function add(username: string, options: AddOptions): Promise<void> {
    const { email, name: displayName, group: groups = [] } = options
    await atDesk(options.config, async ({ store, show }) => {
      const password = await newPassword(options, [username, email, displayName])
      const change = store.create({
        username,
        ...(email !== undefined && { email }),
        ...(displayName !== undefined && { displayName }),
        groups,
        passwordHash: await hashOnce(password),
      })
      if (!change.ok) throw new CommandFailure(change.problem)
      const shown = show(change.user)
      answer(shown, `${shown.username} is added, as ${shown.id}.`, options, password)
    })
  }

  async function list({ config, json }: Options): Promise<void> {
    await atDesk(config, async ({ store, show }) => {
      const users = store.list().map(show)
      stdout.write(json ? `${JSON.stringify(users)}\n` : formatUsers(users))
    })
  }

  async function show(name: string, { config, json }: Options): Promise<void> {
    await atDesk(config, async ({ store, show }) => {
      const shown = show(find(store, name))
      stdout.write(json ? `${JSON.stringify(shown)}\n` : formatUser(shown))
    })
  }

  async function passwd(name: string, options: PasswordOptions): Promise<void> {
    await atDesk(options.config, async ({ store, show }) => {
      const { id, username, email, displayName } = find(store, name)
      const password = await newPassword(options, [username, email, displayName])
      if (!store.setPasswordHash(id, await hashOnce(password))) throw gone(name)
      answer(show(find(store, id)), `${username} has a new password.`, options, password)
    })
  }

  async function setDisabled(name: string, disabled: boolean, options: Options): Promise<void> {
    await atDesk(options.config, async ({ store, show }) => {
      const { id, username } = find(store, name)
      if (!store.setDisabled(id, disabled)) throw gone(name)
      answer(show(find(store, id)), `${username} is ${disabled ? 'disabled' : 'enabled'}.`, options)
    })
  }

  async function remove(name: string, options: Options): Promise<void> {
    await atDesk(options.config, async ({ store, show }) => {
      const stored = find(store, name)
      if (!store.remove(stored.id)) throw gone(name)
      answer(show(stored), `${stored.username} is deleted.`, options)
    })
  }

  function command(usage: string, description: string, example: string): Command {
    return user
      .command(usage)
      .description(description)
      .option('--config <file>', 'the configuration file, which names the database')
      .option('--json', 'for machines')
      .addHelpText('after', `\nExample:\n  gatehouse user ${example}`)
  }

  function withPassword(command: Command): Command {
    return command
      .option('--password-stdin', 'read the password from standard input; one trailing newline is dropped')
      .addOption(
        new Option('--generate', 'make a random password and print it once').conflicts('passwordStdin'),
      )
  }

  withPassword(
    command('add <name>', 'add a user', 'add alice --email alice@corp.example --group staff --generate'),
  )
    .option('--email <address>', 'the address, with which the user can log in, too')
    .option('--name <name>', 'the name to show')
    .option('--group <group...>', 'groups the user is in')
    .action(reportingFailure(context, add))
  command('list', 'list the users', 'list --json').action(reportingFailure(context, list))
  command('show <name>', 'show a user, by name, address or id', 'show alice@corp.example').action(
    reportingFailure(context, show),
  )
  withPassword(
    command('passwd <name>', "set a user's password", 'passwd alice --password-stdin < password.txt'),
  ).action(reportingFailure(context, passwd))
  command('disable <name>', 'keep a user out; nothing else is forgotten', 'disable alice').action(
    reportingFailure(context, (name: string, options: Options) => setDisabled(name, true, options)),
  )
  command('enable <name>', 'let a disabled user in again', 'enable alice').action(
    reportingFailure(context, (name: string, options: Options) => setDisabled(name, false, options)),
  )
  command('delete <name>', 'delete a user for good; the id is never given again', 'delete alice').action(
    reportingFailure(context, remove),
  )
  return user
}

async function hashOnce(password: Secret): Promise<string> {
  const passwords = createPasswordHasher({ threads: 1 })
  try {
    return await passwords.hash(password)
  } finally {
    await passwords.close()
  }
}

function find(store: UserStore, name: string): StoredUser {
  const user = store.find(name)
  if (user === undefined) throw gone(name)
  return user
}

function gone(name: string): CommandFailure {
  return new CommandFailure(`there is no local user ${JSON.stringify(name)}`)
}
