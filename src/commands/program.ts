import { Command } from 'commander'
import { checkCommand } from './check.ts'
import { clientCommand } from './client.ts'
import { configCommand } from './config.ts'
import type { CommandContext } from './context.ts'
import { hashCommand } from './hash.ts'
import { serveCommand } from './serve.ts'
import { userCommand } from './user.ts'

/** Every command, one line each. */
export function createProgram(context: CommandContext, version: string): Command {
  const program = new Command('gatehouse')
    .description('The login desk of an intranet.')
    .version(version, '-V, --version')
    .showHelpAfterError('(--help shows how)')
    .addHelpText('after', '\nExample:\n  gatehouse serve --config config/gatehouse.yaml')
    .addCommand(serveCommand(context))
    .addCommand(checkCommand(context))
    .addCommand(configCommand(context))
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
