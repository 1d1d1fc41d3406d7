import { Command, CommanderError } from 'commander'
import { ConfigProblems } from '../config/problem.ts'
import { formatProblems } from '../config/report.ts'
import type { CommandContext } from './context.ts'

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
    const program = createProgram(context, version, await commandsFor(args, context))
    await program.parseAsync(args, { from: 'user' })
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

/** Every command, one line each. Each is loaded when it is asked for: the daemon has no use for the others, and starts sooner. */
const commands: Readonly<Record<string, (context: CommandContext) => Promise<Command>>> = {
  serve: async context => (await import('./serve.ts')).serveCommand(context),
  check: async context => (await import('./check.ts')).checkCommand(context),
  config: async context => (await import('./config.ts')).configCommand(context),
  doctor: async context => (await import('./doctor.ts')).doctorCommand(context),
  explain: async context => (await import('./explain.ts')).explainCommand(context),
  lockout: async context => (await import('./lockout.ts')).lockoutCommand(context),
  audit: async context => (await import('./audit.ts')).auditCommand(context),
  user: async context => (await import('./user.ts')).userCommand(context),
  client: async context => (await import('./client.ts')).clientCommand(context),
  hash: async context => (await import('./hash.ts')).hashCommand(context),
}

/** The one that the arguments name; all of them, to tell about, where they name none. */
function commandsFor([name = '']: readonly string[], context: CommandContext): Promise<Command[]> {
  const named = Object.hasOwn(commands, name) ? commands[name] : undefined
  return Promise.all((named ? [named] : Object.values(commands)).map(make => make(context)))
}

function createProgram(context: CommandContext, version: string, commands: readonly Command[]): Command {
  const program = new Command('gatehouse')
    .description('The login desk of an intranet.')
    .version(version, '-V, --version')
    .showHelpAfterError('(--help shows how)')
    .addHelpText('after', '\nExample:\n  gatehouse serve --config config/gatehouse.yaml')
  for (const command of commands) program.addCommand(command)
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
