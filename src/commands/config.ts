import { Command } from 'commander'
import { builtInPlugins } from '../backends/registry.ts'
import { configFile } from '../config/config-file.ts'
import { renderEditorSchema } from '../config/editor-schema.ts'
import { showConfig } from '../config/show.ts'
import type { CommandContext } from './context.ts'

/** `config show` and `config schema`. A configuration with errors is thrown on, for `main.ts` to print. */
export function configCommand(context: CommandContext): Command {
  const config = new Command('config')
    .description('the effective configuration, and the schema for editors')
    .addHelpText('after', '\nExample:\n  gatehouse config show --config /etc/gatehouse/gatehouse.yaml')

  config
    .command('show')
    .description('print what holds, defaults included: secrets masked, and where each value came from')
    .option('--config <file>', 'the configuration file')
    .option('--json', 'for machines')
    .addHelpText('after', '\nExample:\n  gatehouse config show --config /etc/gatehouse/gatehouse.yaml')
    .action(async ({ config: option, json }: { config?: string; json?: boolean }) => {
      const loaded = await context.loadConfig(configFile(option, context.env))
      const { file, effective, origins } = loaded
      const forMachines = { file, config: effective, origins: Object.fromEntries(origins) }
      context.stdout.write(json ? `${JSON.stringify(forMachines)}\n` : showConfig(loaded))
    })

  config
    .command('schema')
    .description('print the JSON Schema of the file, for editors')
    .option('--config <file>', 'taken as by every command; nothing here depends on it')
    .addHelpText('after', '\nExample:\n  gatehouse config schema > config/gatehouse.schema.json')
    .action(() => {
      context.stdout.write(renderEditorSchema(builtInPlugins))
    })

  return config
}
