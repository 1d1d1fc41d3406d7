import { Command } from 'commander'
import type { Config, LoadedConfig } from '../config/config.ts'
import { configFile } from '../config/config-file.ts'
import { ConfigProblems, type Problem } from '../config/problem.ts'
import { formatProblems } from '../config/report.ts'
import type { CommandContext } from './context.ts'

/** `check`: validates the configuration offline. */
export function checkCommand(context: CommandContext): Command {
  return new Command('check')
    .description('validate the configuration offline: every error with its line, and what to do')
    .option('--config <file>', 'the configuration file')
    .option('--json', 'for machines')
    .addHelpText('after', '\nExample:\n  gatehouse check --config /etc/gatehouse/gatehouse.yaml')
    .action(async ({ config: option, json }: { config?: string; json?: boolean }) => {
      const file = configFile(option, context.env)
      const { loaded, problems } = await load(file, context)
      if (!loaded) context.setExitCode(1)
      if (json) {
        const backends = loaded && chain(loaded.config)
        context.stdout.write(`${JSON.stringify({ file, valid: loaded !== undefined, backends, problems })}\n`)
        return
      }
      const output = loaded ? context.stdout : context.stderr
      if (loaded) output.write(`${summary(loaded)}\n${problems.length > 0 ? '\n' : ''}`)
      output.write(formatProblems(problems, { color: context.color }))
      if (!loaded) output.write(`\n${count(problems.filter(isError).length, 'error')} in ${file}\n`)
    })
}

interface Checked {
  readonly loaded: LoadedConfig | undefined
  readonly problems: readonly Problem[]
}

async function load(file: string, context: CommandContext): Promise<Checked> {
  try {
    const loaded = await context.loadConfig(file)
    return { loaded, problems: loaded.warnings }
  } catch (error) {
    if (!(error instanceof ConfigProblems)) throw error
    return { loaded: undefined, problems: error.problems }
  }
}

function isError({ severity }: Problem): boolean {
  return severity === 'error'
}

function chain({ backends }: Config): string[] {
  return backends.filter(({ enabled }) => enabled).map(({ id, deny }) => (deny ? `${id} (deny list)` : id))
}

function summary({ file, config }: LoadedConfig): string {
  const asked = chain(config)
  const off = config.backends.length - asked.length
  const switchedOff = off > 0 ? ` and ${off} switched off` : ''
  const backends = `${count(asked.length, 'backend')} (${asked.join(' → ')})${switchedOff}`
  return `${file} is valid: ${backends}, ${callers(config)}, on ${url(config.listen)}`
}

function callers({ clients, allowAnonymousClients }: Config): string {
  if (clients.length > 0) return count(clients.length, 'client')
  return allowAnonymousClients ? 'anybody may call' : 'this machine may call'
}

function url({ host, port, tls }: Config['listen']): string {
  return `${tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${port}`
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}
