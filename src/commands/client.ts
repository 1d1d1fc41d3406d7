import { createHash, randomBytes } from 'node:crypto'
import { Command, Option } from 'commander'
import type { ClientConfig } from '../config/config.ts'
import { configFile } from '../config/config-file.ts'
import type { CommandContext } from './context.ts'

const PERMISSIONS = ['assert_client_ip', 'reveal_account_state'] as const

/** `client add` makes an API key and the YAML that admits it; `client list` shows who may call. */
export function clientCommand(context: CommandContext): Command {
  const client = new Command('client')
    .description('the apps that may call: API keys')
    .addHelpText('after', '\nExample:\n  gatehouse client add wiki')

  client
    .command('add')
    .argument('<id>', 'name of the app, such as wiki')
    .description('make an API key: prints it once, and the YAML to paste under clients:')
    .addOption(
      new Option('--may <permission...>', 'what the app may do').choices([...PERMISSIONS]).default([]),
    )
    .option('--config <file>', 'taken as by every command; nothing here depends on it')
    .option('--json', 'for machines')
    .addHelpText(
      'after',
      '\nExample:\n  gatehouse client add wiki --may assert_client_ip reveal_account_state',
    )
    .action((id: string, { may, json }: { may: string[]; json?: boolean }) => {
      if (!/^[a-z0-9][a-z0-9_-]{0,63}$/.test(id)) {
        context.stderr.write(`"${id}" is no client id: lower-case letters, digits, - and _, at most 64\n`)
        context.setExitCode(2)
        return
      }
      const key = `gh_${randomBytes(32).toString('base64url')}`
      const entry = {
        id,
        key_sha256: createHash('sha256').update(key).digest('hex'),
        ...(may.length > 0 && { may }),
      }
      context.stdout.write(json ? `${JSON.stringify({ key, client: entry })}\n` : added(key, entry))
    })

  client
    .command('list')
    .description('show the clients of the configuration')
    .option('--config <file>', 'the configuration file')
    .option('--json', 'for machines')
    .addHelpText('after', '\nExample:\n  gatehouse client list --config /etc/gatehouse/gatehouse.yaml')
    .action(async ({ config: file, json }: { config?: string; json?: boolean }) => {
      const { config } = await context.loadConfig(configFile(file, context.env))
      const rows = config.clients.map(describe)
      context.stdout.write(json ? `${JSON.stringify(rows)}\n` : listed(rows, config.allowAnonymousClients))
    })

  return client
}

function added(key: string, entry: { id: string; key_sha256: string; may?: string[] }): string {
  const may = entry.may === undefined ? '' : `\n    may: [${entry.may.join(', ')}]`
  return `The key of ${entry.id}, shown this once; the app sends it as "Authorization: Bearer <key>":

  ${key}

Paste this under clients: in the configuration:

  - id: ${entry.id}
    key_sha256: ${entry.key_sha256}${may}
`
}

interface ClientRow {
  readonly id: string
  readonly by: ClientConfig['identity']['by']
  readonly may: readonly string[]
  readonly backends: readonly string[] | 'all'
}

function describe({ id, identity, may, backends }: ClientConfig): ClientRow {
  return { id, by: identity.by, may, backends: backends ?? 'all' }
}

function listed(rows: readonly ClientRow[], anonymous: boolean): string {
  if (rows.length === 0) {
    return anonymous
      ? 'No clients: anybody who reaches the address may call (allow_anonymous_clients).\n'
      : 'No clients: only this machine may call.\n'
  }
  const width = Math.max(...rows.map(({ id }) => id.length))
  return rows
    .map(({ id, by, may, backends }) => {
      const all = backends === 'all' ? 'all backends' : backends.join(', ')
      return `${id.padEnd(width)}  ${by.padEnd(11)}  ${all}${may.length > 0 ? `  may ${may.join(', ')}` : ''}\n`
    })
    .join('')
}
