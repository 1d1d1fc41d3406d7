import { Command } from 'commander'
import { systemClock } from '../authentication/clock.ts'
import { createRefusedAccounts } from '../authentication/refused-accounts.ts'
import type { Config, LoadedConfig } from '../config/config.ts'
import { configFile } from '../config/config-file.ts'
import { ConfigProblems } from '../config/problem.ts'
import type { Finding } from '../plugin.ts'
import { examineDatabase } from '../users/examine-database.ts'
import { openUsersToLook } from '../users/users-to-look.ts'
import type { CommandContext } from './context.ts'
import { examineBackend } from './doctor/backends.ts'
import { examineChecks } from './doctor/checks.ts'
import { examineClients, examineConfig, examineFiles } from './doctor/files.ts'
import { examineListeners } from './doctor/listeners.ts'
import { examineLockoutStore } from './doctor/lockout-store.ts'
import { readName } from './doctor/name.ts'
import { createPersonInChain } from './doctor/person.ts'
import { examineServed } from './doctor/served.ts'
import { silentLog } from './doctor/silent-log.ts'
import { CommandFailure, reportingFailure } from './failure.ts'
import { createPaint, type Paint, visible } from './terminal.ts'

interface Options {
  readonly config?: string
  readonly json?: boolean
  readonly user?: string
  readonly backend?: string
}

/** `doctor`: looks at everything live, and says each finding as soon as it is known. */
export function doctorCommand(context: CommandContext): Command {
  async function doctor(options: Options): Promise<void> {
    const report = createReport(context, options.json === true)
    const file = configFile(options.config, context.env)
    try {
      const loaded = await context.loadConfig(file)
      await examineAll(loaded, options, report)
    } catch (error) {
      if (!(error instanceof ConfigProblems)) throw error
      report.section('configuration')
      for (const { severity, line, column, message, hint } of error.problems) {
        const place = line === undefined ? file : `${file}:${line}:${column}`
        const status = severity === 'error' ? 'fail' : 'warn'
        report.say({ status, check: place, detail: message, ...(hint !== undefined && { advice: hint }) })
      }
    }
    if (report.end() > 0) context.setExitCode(1)
  }

  return new Command('doctor')
    .description(
      'look at everything live: files, database, ports, the lockout’s store, and each backend with its servers',
    )
    .option('--user <name>', 'look for this person in the directories, instead of any one')
    .option('--backend <id>', 'look at this backend only')
    .option('--config <file>', 'the configuration file')
    .option('--json', 'for machines: one object a line, as each is known')
    .addHelpText(
      'after',
      '\nExit code 0 if nothing failed, 1 otherwise.\n\nExample:\n  gatehouse doctor --config /etc/gatehouse/gatehouse.yaml --user alice',
    )
    .action(reportingFailure(context, doctor))
}

async function examineAll(
  loaded: LoadedConfig,
  { user, backend: only }: Options,
  report: Report,
): Promise<void> {
  const { config } = loaded
  const chosen = chooseBackends(config, only)
  report.section('configuration')
  for (const finding of examineConfig(loaded)) report.say(finding)
  for (const finding of examineFiles(loaded)) report.say(finding)
  report.section('daemon')
  for (const finding of examineDatabase(config.database)) report.say(finding)
  for await (const finding of examineListeners(config)) report.say(finding)
  for await (const finding of examineServed(config)) report.say(finding)
  for (const finding of examineClients(config)) report.say(finding)
  if (config.lockout.store === 'redis') {
    report.section('lockout store')
    for await (const finding of examineLockoutStore(config.lockout.redis)) report.say(finding)
  }

  await using opened = new AsyncDisposableStack()
  const parts = {
    users: openUsersToLook(config.database, silentLog, opened),
    refusedAccounts: createRefusedAccounts(systemClock),
    log: silentLog,
  }
  const name = user === undefined ? undefined : await readName(user, config, parts)
  if (name && !name.ok) {
    report.section(`user ${user}`)
    const detail = `this cannot be the name of a user: it ${name.problem}`
    report.say({ status: 'fail', check: `user ${user}`, detail })
  }
  const asked = user !== undefined && name?.ok ? { user, username: name.username } : undefined
  const person =
    asked &&
    createPersonInChain(
      asked.user,
      chosen.filter(({ enabled }) => enabled),
    )
  const refused = new Set<string>()
  for (const settings of chosen) {
    report.section(settings.id, settings.type)
    if (!settings.enabled) {
      report.say({ status: 'ok', check: 'enabled: false', detail: 'switched off, so not looked at' })
      continue
    }
    const accounts = new Set<Finding['status']>()
    for await (const finding of examineBackend(settings, { ...parts, config, person: asked })) {
      const said = person ? person.take(settings, finding) : finding
      if (said === undefined) continue
      if (SERVICE_ACCOUNT.test(said.check)) accounts.add(said.status)
      report.say(said)
    }
    // One server that is out of order refuses nobody.
    if (accounts.has('fail') && !accounts.has('ok')) refused.add(settings.id)
  }
  const left = person?.end() ?? []
  if (left.length > 0) report.section(`user ${user}`)
  for (const { about, finding } of left) report.say(finding, about)
  if (config.checks.length === 0) return
  report.section('checks')
  const ids = new Set(chosen.map(({ id }) => id))
  for await (const finding of examineChecks({ ...parts, config, chosen: ids, refused })) report.say(finding)
}

/** What is said of a service account is said so: `ldap` does, and plugins may. */
const SERVICE_ACCOUNT = /^service account\b/

function chooseBackends({ backends }: Config, only: string | undefined): Config['backends'] {
  if (only === undefined) return backends
  const chosen = backends.filter(({ id }) => id === only)
  if (chosen.length > 0) return chosen
  const known = backends.map(({ id }) => id).join(', ')
  throw new CommandFailure(`no backend has the id ${JSON.stringify(only)}: there are ${known}`, 2)
}

interface Report {
  /** What the findings from here on are about. */
  section(about: string, type?: string): void
  /** @param whose what it is about, if not what the section is */
  say(finding: Finding, whose?: string): void
  /** @returns how many failed */
  end(): number
}

const SHOWN = { ok: ['green', ' ok '], warn: ['yellow', 'warn'], fail: ['red', 'FAIL'] } as const

function createReport({ stdout, color }: CommandContext, json: boolean): Report {
  const paint = createPaint(color)
  const counts = { ok: 0, warn: 0, fail: 0 }
  let about = ''
  return {
    section(next, type) {
      if (!json)
        stdout.write(
          `${about && '\n'}${paint('bold', visible(next))}${type === undefined ? '' : ` (${type})`}\n`,
        )
      about = next
    },
    say({ status, check, detail, advice }, whose) {
      counts[status]++
      const said = { status, check, detail, ...(advice !== undefined && { advice }) }
      stdout.write(
        json
          ? `${JSON.stringify({ about: whose ?? about, ...said })}\n`
          : format(whose === undefined ? said : { ...said, check: whose }, paint),
      )
    },
    end() {
      const { ok, warn, fail } = counts
      const warnings = warn === 1 ? '1 warning' : `${warn} warnings`
      if (!json) stdout.write(`\n${ok} ok, ${warnings}, ${fail} failed\n`)
      return fail
    },
  }
}

function format({ status, check, detail, advice }: Finding, paint: Paint): string {
  const [style, word] = SHOWN[status]
  const line = `  ${paint(style, word)}  ${visible(check)}: ${visible(detail)}\n`
  return advice === undefined ? line : `${line}        ${paint('cyan', '→')} ${visible(advice)}\n`
}
