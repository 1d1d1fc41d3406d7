import { randomUUID } from 'node:crypto'
import { Command } from 'commander'
import { checkPassword } from '../authentication/password.ts'
import type { Secret } from '../authentication/secret.ts'
import { configFile } from '../config/config-file.ts'
import { canonicalAddress } from '../http/address.ts'
import { type PresentedExplanation, presentExplanation } from '../http/explanation.ts'
import { askDaemon, readAdminUrl } from './admin-client.ts'
import type { CommandContext } from './context.ts'
import { explainOffline } from './explain-offline.ts'
import { formatExplanation } from './explain-output.ts'
import { CommandFailure, reportingFailure } from './failure.ts'
import { readPassword } from './password-input.ts'
import { createQuietLog } from './quiet-log.ts'
import { createPaint } from './terminal.ts'

interface Options {
  readonly config?: string
  readonly json?: boolean
  readonly client?: string
  readonly from: string
  readonly passwordStdin?: boolean
  readonly admin?: string
}

/** `explain`: one login, step by step. It asks the running daemon, whose lockout it is, or else looks by itself. */
export function explainCommand(context: CommandContext): Command {
  async function explain(username: string, options: Options): Promise<void> {
    const { client, from: givenAddress, json } = options
    if (username === '') throw new CommandFailure('the name is empty: whose login is to be explained?', 2)
    const address = canonicalAddress(givenAddress)
    if (address === undefined) throw new CommandFailure(`--from ${givenAddress} is not an address`, 2)
    const admin = readAdminUrl(options.admin)
    const password = options.passwordStdin ? await readPassword(context, true) : undefined
    if (password !== undefined) refuseImpossible(password)
    const { config } = await context.loadConfig(configFile(options.config, context.env))

    const answer = await askDaemon(
      config,
      '/admin/explain',
      {
        username,
        from: address,
        ...(client !== undefined && { client }),
        ...(password && { password: password.reveal() }),
      },
      admin,
    )
    let explanation: PresentedExplanation
    if (answer.daemon === 'answered') {
      explanation = answer.body as PresentedExplanation
    } else if (password === undefined) {
      if (!json) context.stderr.write(`No daemon is asked: ${answer.reason}.\n`)
      const request = { requestId: randomUUID(), username, address }
      const log = createQuietLog(context.stderr)
      explanation = presentExplanation(await explainOffline(config, request, client, log))
    } else {
      const why = 'a password is tried by the daemon only, because the lockout must count it'
      throw new CommandFailure(
        `${why}; ${answer.reason}: start it, or leave --password-stdin away to only look`,
      )
    }

    const output = json
      ? `${JSON.stringify(explanation)}\n`
      : formatExplanation(explanation, createPaint(context.color))
    context.stdout.write(output)
    const yes = explanation.verdict === 'accepted' || explanation.verdict === 'depends_on_password'
    if (!yes) context.setExitCode(1)
  }

  return new Command('explain')
    .description('explain one login, step by step: exit code 0 if it is or can be accepted, 1 if not')
    .argument('<user>', 'the name as the user types it')
    .option(
      '--password-stdin',
      'really try, and count it like any attempt: the password comes on standard input',
    )
    .option('--client <id>', 'as if this client asked: its backends, required groups and attributes')
    .option('--from <address>', 'the address the user comes from, for the lockout', '127.0.0.1')
    .option('--admin <url>', 'the admin listener of the daemon, if it is not where the configuration says')
    .option('--config <file>', 'the configuration file')
    .option('--json', 'for machines')
    .addHelpText(
      'after',
      '\nExamples:\n  gatehouse explain alice\n  gatehouse explain alice@corp.example --client wiki --password-stdin < password.txt',
    )
    .action(reportingFailure(context, explain))
}

function refuseImpossible(password: Secret): void {
  const possible = checkPassword(password)
  if (!possible.ok) throw new CommandFailure(`the password ${possible.problem}`)
}
