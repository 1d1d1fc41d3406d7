import { Command } from 'commander'
import { type App, startApp } from '../app.ts'
import type { Log } from '../authentication/log.ts'
import { framesOf } from '../authentication/redaction.ts'
import type { LoadedConfig } from '../config/config.ts'
import { configFile } from '../config/config-file.ts'
import { filesOf } from '../config/files.ts'
import { createFileWatch } from '../config/watch.ts'
import { createLog } from '../observe/log.ts'
import type { CommandContext } from './context.ts'

/** From the first signal to the end, whatever still runs, in milliseconds. */
const STOP_WITHIN_MS = 10_000
/** How long the log's reader may take for the last line of a crash. */
const CRASH_WITHIN_MS = 1_000

/**
 * Runs the daemon until SIGTERM or SIGINT; a second signal ends it at once. SIGHUP, and a change of any file that the
 * configuration is made of, reload it.
 */
export function serveCommand(context: CommandContext): Command {
  return new Command('serve')
    .description('run the daemon')
    .option('--config <file>', 'the configuration file')
    .addHelpText('after', '\nExample:\n  gatehouse serve --config /etc/gatehouse/gatehouse.yaml')
    .action(async ({ config: option }: { config?: string }) => {
      keepMemoryPrivate()
      const stop = waitForSignal()
      // From here on it does not end us; before there is anything to reload, what it wants is about to happen.
      let reload: (why: string) => void = () => {}
      process.on('SIGHUP', () => reload('SIGHUP'))

      const file = configFile(option, context.env)
      const files = createFileWatch()
      const load = () =>
        files.during(async readFile => {
          const loaded = await context.loadConfig(file, readFile)
          // Only for the watch: whoever needs one of these says what is wrong with it.
          await Promise.allSettled(filesOf(loaded.config).map(readFile))
          return loaded
        })
      const loaded = await load()
      const output = createLog(loaded.config.log, { isTty: process.stdout.isTTY, color: context.color })
      const { log } = output
      process.on('unhandledRejection', thrown => surviveRejection(thrown, log))
      process.on('uncaughtException', thrown => endOfCrash(thrown, log, output.close))
      try {
        const app = await startApp(loaded.config, log, load)
        announce(app, loaded, log)
        if (app.firstAdmin !== undefined) welcome(app, loaded, context)
        reload = why => {
          log.info({ event: 'sys_config_reload', why }, 'reading the configuration anew')
          void app.reload()
        }
        files.start(() => reload('a file has changed'), log)
        const signal = await stop
        files.stop()
        log.info({ event: 'sys_shutdown', signal }, 'stopping: what is in flight finishes')
        await app.stop()
        log.info({ event: 'sys_shutdown' }, 'stopped')
      } finally {
        await output.close()
      }
    })
}

/** Node.js has two ways to show what is in this process, and either may be somebody's habit. */
function keepMemoryPrivate(): void {
  // It would open its debugger on a port of this machine, which asks nobody for a password. A listener takes its place.
  process.on('SIGUSR1', () => {})
  // Reports that an operator asks for have no use for the environment, where secrets of the configuration may be.
  process.report.excludeEnv = true
}

/** Resolves at the first signal; from then on the process ends at the second one, or when its time is up. */
function waitForSignal(): Promise<NodeJS.Signals> {
  const { promise, resolve } = Promise.withResolvers<NodeJS.Signals>()
  const first = (signal: NodeJS.Signals) => {
    process.on('SIGTERM', () => process.exit(1)).on('SIGINT', () => process.exit(1))
    setTimeout(() => process.exit(1), STOP_WITHIN_MS).unref()
    resolve(signal)
  }
  process.once('SIGTERM', first).once('SIGINT', first)
  return promise
}

/**
 * A promise that some backend let go of must not end the desk for all the others (faults.md F38). What it was rejected with is
 * not shown, only where: a plugin may have put a password into its message.
 */
function surviveRejection(thrown: unknown, log: Log): void {
  log.error(
    { event: 'sys_crash', at: whereFrom(thrown) },
    'a promise was rejected and nobody was listening: a bug of ours, or of a plugin',
  )
}

/** Nobody knows what is broken now, so the process ends; but not with Node's own words, which would show what was thrown. */
function endOfCrash(thrown: unknown, log: Log, close: () => Promise<void>): void {
  log.fatal(
    { event: 'sys_crash', at: whereFrom(thrown) },
    'something was thrown and nobody caught it: ending',
  )
  setTimeout(() => process.exit(1), CRASH_WITHIN_MS)
  void close().finally(() => process.exit(1))
}

function whereFrom(thrown: unknown): readonly string[] {
  try {
    if (thrown instanceof Error) return framesOf(thrown).map(frame => frame.trim())
  } catch {
    // A trap of a plugin's.
  }
  return [typeof thrown]
}

function announce(app: App, { config, file, warnings }: LoadedConfig, log: Log): void {
  for (const { line, message } of warnings) log.warn({ file, line }, message)
  const chain = config.backends.filter(({ enabled }) => enabled).map(({ id }) => id)
  log.info(
    { event: 'sys_startup', url: app.publicUrl, admin: app.adminUrl, config: file },
    `serving ${app.publicUrl}, asking ${chain.join(' → ')}`,
  )
}

/** Not part of the log, which goes to places where no password belongs. */
function welcome({ firstAdmin, publicUrl }: App, { config }: LoadedConfig, { stderr }: CommandContext): void {
  if (firstAdmin === undefined) return
  const { username, password } = firstAdmin
  const body = JSON.stringify({ username, password: password.reveal() })
  const key = config.clients.some(({ identity }) => identity.by === 'key')
    ? ` -H 'authorization: Bearer <the key of a client>'`
    : ''
  stderr.write(`
There was no user yet, so this one was made. Its password is shown once and stored nowhere:

  user      ${username}
  password  ${password.reveal()}

Log in:

  curl -i ${publicUrl}/authenticate -H 'content-type: application/json'${key} -d '${body}'

`)
}
