import { Command, CommanderError } from 'commander'
import { ConfigProblems } from '../config/problem.ts'
import { formatProblems } from '../config/report.ts'
import { auditCommand } from './audit.ts'
import { checkCommand } from './check.ts'
import { clientCommand } from './client.ts'
import { configCommand } from './config.ts'
import type { CommandContext } from './context.ts'
import { doctorCommand } from './doctor.ts'
import { explainCommand } from './explain.ts'
import { hashCommand } from './hash.ts'
import { lockoutCommand } from './lockout.ts'
import { serveCommand } from './serve.ts'
import { userCommand } from './user.ts'

/**
 * Runs the command that the arguments ask for. Never rejects: what went wrong is said on standard error, and the exit
 * code tells (0 done, 1 it failed or the answer is no, 2 wrong usage).
 */
export async function runProgram(
  args: readonly string[],
  context: CommandContext,
  version: string,
): Promise<void> {
  try {
    await createProgram(context, version).parseAsync(args, { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError) {
      // Commander has said why already; help and version are no mistakes.
      context.setExitCode(error.exitCode === 0 ? 0 : 2)
    } else {
      context.stderr.write(explain(error, context))
      context.setExitCode(1)
    }
  }
}

function explain(error: unknown, { color }: CommandContext): string {
  if (error instanceof ConfigProblems) return formatProblems(error.problems, { color })
  return `gatehouse: ${error instanceof Error ? error.message : String(error)}\n`
}

/** Every command, one line each. */
function createProgram(context: CommandContext, version: string): Command {
  const program = new Command('gatehouse')
    .description('The login desk of an intranet.')
    .version(version, '-V, --version')
    .showHelpAfterError('(--help shows how)')
    .addHelpText('after', '\nExample:\n  gatehouse serve --config config/gatehouse.yaml')
    .addCommand(serveCommand(context))
    .addCommand(checkCommand(context))
    .addCommand(configCommand(context))
    .addCommand(doctorCommand(context))
    .addCommand(explainCommand(context))
    .addCommand(lockoutCommand(context))
    .addCommand(auditCommand(context))
    .addCommand(userCommand(context))
    .addCommand(clientCommand(context))
    .addCommand(hashCommand(context))
  for (const command of everyCommand(program)) {
    command.exitOverride().configureOutput({
      writeOut: text => context.stdout.write(text),
      writeErr: text => context.stderr.write(text),
    })
  }
  return program
}

function everyCommand(command: Command): Command[] {
  return [command, ...command.commands.flatMap(everyCommand)]
}
