import { userInfo } from 'node:os'
import { Command } from 'commander'
import { MOST_LOCKS } from '../authentication/locks.ts'
import { configFile } from '../config/config-file.ts'
import { canonicalAddress } from '../http/address.ts'
import type { PresentedLockList, PresentedShown, PresentedUnlocked } from '../http/locks.ts'
import { askDaemon, readAdminUrl } from './admin-client.ts'
import type { CommandContext } from './context.ts'
import { CommandFailure, reportingFailure } from './failure.ts'
import { formatLockList, formatShown, formatUnlocked } from './lockout-output.ts'

interface Options {
  readonly config?: string
  readonly json?: boolean
  readonly admin?: string
}

/** `lockout list`, `show` and `unlock`: the running daemon, whose locks they are, is asked. */
export function lockoutCommand(context: CommandContext): Command {
  const lockout = new Command('lockout')
    .description('who is locked out here, and the end of it')
    .addHelpText('after', '\nExample:\n  gatehouse lockout unlock alice')
  const { stdout, env } = context

  async function ask<T>(path: string, body: object, options: Options): Promise<T> {
    const admin = readAdminUrl(options.admin)
    const { config } = await context.loadConfig(configFile(options.config, env))
    const answer = await askDaemon(config, `/admin/lockout/${path}`, body, admin)
    if (answer.daemon === 'answered') return answer.body as T
    throw new CommandFailure(`the locks are the running daemon's, and none is asked: ${answer.reason}`)
  }

  function write<T>(answer: T, format: (answer: T) => string, { json }: Options): void {
    stdout.write(json ? `${JSON.stringify(answer)}\n` : format(answer))
  }

  async function list(options: Options & { readonly most?: string }): Promise<void> {
    const body = options.most === undefined ? {} : { most: readMost(options.most) }
    write(await ask<PresentedLockList>('list', body, options), formatLockList, options)
  }

  async function show(user: string, options: Options & { readonly from?: string }): Promise<void> {
    const body = { user: readUser(user), ...readAddress('--from', options.from) }
    write(await ask<PresentedShown>('show', body, options), formatShown, options)
  }

  async function unlock(
    user: string | undefined,
    options: Options & { readonly source?: string; readonly subject?: string },
  ): Promise<void> {
    const { source, subject } = options
    if (user === undefined && source === undefined && subject === undefined) {
      throw new CommandFailure('who is to be unlocked? Give a user, --subject or --source', 2)
    }
    if (subject !== undefined && !/^[^:]+:./.test(subject)) {
      throw new CommandFailure(`--subject ${subject} is no id such as corp:6f9619ff-8b86-d011`, 2)
    }
    const body = {
      ...(user !== undefined && { user: readUser(user) }),
      ...(subject !== undefined && { subject }),
      ...readAddress('--source', source),
      operator: whoAsks(env),
    }
    const answer = await ask<PresentedUnlocked>('unlock', body, options)
    write(answer, formatUnlocked, options)
    if (answer.ended.length === 0) context.setExitCode(1)
  }

  function command(usage: string, description: string, examples: readonly string[]): Command {
    const heading = examples.length > 1 ? 'Examples' : 'Example'
    const lines = examples.map(example => `  gatehouse lockout ${example}`)
    return lockout
      .command(usage)
      .description(description)
      .option('--admin <url>', 'the admin listener of the daemon, if it is not where the configuration says')
      .option('--config <file>', 'the configuration file')
      .option('--json', 'for machines')
      .addHelpText('after', `\n${heading}:\n${lines.join('\n')}`)
  }

  command('list', 'list the locks that hold, longest first', ['list --json'])
    .option('--most <number>', `how many, up to ${MOST_LOCKS}`)
    .action(reportingFailure(context, list))
  command(
    'show <user>',
    'show where a user stands: whom the name finds, what is counted and what is locked',
    ['show alice', 'show alice@corp.example --from 192.0.2.7'],
  )
    .option('--from <address>', 'as if the user came from there: most counts are one per source')
    .action(reportingFailure(context, show))
  command('unlock [user]', 'end locks and forget counts: exit code 0 if a lock ended, 1 if none held', [
    'unlock alice',
    'unlock alice --source 192.0.2.7',
    'unlock --source 192.0.2.7',
    'unlock --subject corp:6f9619ff-8b86-d011-b42d-00c04fc964ff',
  ])
    .option('--source <address>', 'only what comes from there; without a user that source and its subnet')
    .option('--subject <id>', 'the account with this id, in case no name finds it any more')
    .action(reportingFailure(context, unlock))
  return lockout
}

function readUser(user: string): string {
  if (user === '') throw new CommandFailure('the name is empty', 2)
  return user
}

function readAddress(option: string, given: string | undefined): { readonly address?: string } {
  if (given === undefined) return {}
  const address = canonicalAddress(given)
  if (address === undefined) throw new CommandFailure(`${option} ${given} is not an address`, 2)
  return { address }
}

function readMost(given: string): number {
  const most = Number(given)
  if (/^\d+$/.test(given) && most >= 1 && most <= MOST_LOCKS) return most
  throw new CommandFailure(`--most ${given} is no number from 1 to ${MOST_LOCKS}`, 2)
}

/** For the daemon's log, which calls it a claim. */
function whoAsks({ SUDO_USER: behind }: NodeJS.ProcessEnv): string {
  const own = ownName()
  return behind ? `${behind.slice(0, 60)} as ${own}` : own
}

function ownName(): string {
  try {
    return userInfo().username.slice(0, 60)
  } catch {
    // A container may run as a user that has no name.
    return `uid ${process.getuid?.() ?? '?'}`
  }
}
