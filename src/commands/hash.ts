import { Command } from 'commander'
import { checkPassword } from '../authentication/password.ts'
import { createPasswordHasher } from '../passwords/hasher.ts'
import type { CommandContext } from './context.ts'
import { CommandFailure, reportingFailure } from './failure.ts'
import { readPassword } from './password-input.ts'

/** Prints the argon2id hash of a password, for a migration. Any password that a login can send will do. */
export function hashCommand(context: CommandContext): Command {
  async function hash({ passwordStdin = false, json }: { passwordStdin?: boolean; json?: boolean }) {
    const password = await readPassword(context, passwordStdin)
    const possible = checkPassword(password)
    if (!possible.ok) throw new CommandFailure(`the password ${possible.problem}`)
    const passwords = createPasswordHasher({ threads: 1 })
    try {
      const hash = await passwords.hash(password)
      context.stdout.write(json ? `${JSON.stringify({ hash })}\n` : `${hash}\n`)
    } finally {
      await passwords.close()
    }
  }

  return new Command('hash')
    .description('hash a password with argon2id, as a PHC string')
    .option('--password-stdin', 'read the password from standard input; one trailing newline is dropped')
    .option('--config <file>', 'taken as by every command; nothing here depends on it')
    .option('--json', 'for machines')
    .addHelpText('after', '\nExample:\n  gatehouse hash --password-stdin < password.txt')
    .action(reportingFailure(context, hash))
}
