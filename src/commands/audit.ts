import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { Command, Option } from 'commander'
import { configFile } from '../config/config-file.ts'
import type { Head } from '../observe/audit/row.ts'
import { verify } from '../observe/audit/verify.ts'
import { AuditFileError, type AuditReader, type AuditRow, openAuditReader } from '../users/audit-table.ts'
import { CSV_HEADING, formatCsv, formatHeading, formatLine, presentRow } from './audit-output.ts'
import type { CommandContext } from './context.ts'
import { CommandFailure, reportingFailure } from './failure.ts'

interface Options {
  readonly config?: string
  readonly file?: string
  readonly json?: boolean
}

const USUAL_LINES = 20
const MOST_LINES = 100_000
const FOLLOW_EVERY_MS = 500

/** `audit tail`, `verify` and `export`: they read the file, beside a running daemon or without one. */
export function auditCommand(context: CommandContext): Command {
  const audit = new Command('audit')
    .description('the audit trail: who has tried to log in, and proof that it was not altered')
    .addHelpText('after', '\nExample:\n  gatehouse audit tail --follow')
  const { stdout } = context

  async function reading<T>(
    { config, file }: Options,
    work: (reader: AuditReader) => Promise<T>,
  ): Promise<T> {
    const path = file ?? (await context.loadConfig(configFile(config, context.env))).config.audit.file
    let reader: AuditReader | undefined
    try {
      reader = openAuditReader(path)
      return await work(reader)
    } catch (error) {
      if (error instanceof AuditFileError) throw new CommandFailure(error.message)
      throw error
    } finally {
      reader?.close()
    }
  }

  /** False once nobody reads any more: `gatehouse audit export | head`. */
  async function write(text: string): Promise<boolean> {
    if (!stdout.writable) return false
    if (stdout.write(text)) return true
    const over = new AbortController()
    const { signal } = over
    const drained = once(stdout, 'drain', { signal })
    await Promise.race([drained, once(stdout, 'close', { signal })]).catch(() => {})
    over.abort()
    return stdout.writable
  }

  async function tail(
    options: Options & { readonly lines?: string; readonly follow?: boolean },
  ): Promise<void> {
    const lines = readLines(options.lines)
    const format = options.json ? (row: AuditRow) => `${JSON.stringify(presentRow(row))}\n` : formatLine
    await reading(options, async reader => {
      let seen = Math.max(0, reader.lastSeq() - lines)
      if (!options.json) await write(formatHeading())
      for (;;) {
        for (const row of reader.rows({ afterSeq: seen })) {
          if (!(await write(format(row)))) return
          seen = row.seq
        }
        if (!options.follow || !stdout.writable) return
        await pause(FOLLOW_EVERY_MS)
      }
    })
  }

  async function prove(options: Options & { readonly since?: string }): Promise<void> {
    const anchor = readAnchor(options.since)
    const proof = await reading(options, async reader => verify(reader.rows(), anchor))
    if (!proof.intact) context.setExitCode(1)
    if (options.json) {
      stdout.write(`${JSON.stringify(proof)}\n`)
      return
    }
    if (!proof.intact) {
      stdout.write(`BROKEN at row ${proof.seq}: ${proof.problem}\n`)
      return
    }
    const { rows, from, head } = proof
    if (head === undefined) stdout.write('intact, and empty\n')
    else {
      stdout.write(`intact: ${rows} rows, from ${from} to ${head.seq}\n`)
      stdout.write(`head   ${head.seq}:${head.hash}\n`)
      if (anchor === undefined) {
        stdout.write(
          'Keep the head elsewhere: with --since it proves later that nothing up to here is gone.\n',
        )
      }
    }
  }

  async function exportRows(
    options: Options & { readonly from?: string; readonly to?: string; readonly format: 'jsonl' | 'csv' },
  ): Promise<void> {
    const [from, to] = [readTime('--from', options.from), readTime('--to', options.to)]
    const isCsv = options.format === 'csv'
    const format = isCsv ? formatCsv : (row: AuditRow) => `${JSON.stringify(presentRow(row))}\n`
    await reading(options, async reader => {
      if (isCsv) await write(CSV_HEADING)
      for (const row of reader.rows({
        ...(from !== undefined && { from }),
        ...(to !== undefined && { to }),
      })) {
        if (!(await write(format(row)))) return
      }
    })
  }

  function command(usage: string, description: string, examples: readonly string[]): Command {
    const heading = examples.length > 1 ? 'Examples' : 'Example'
    const lines = examples.map(example => `  gatehouse audit ${example}`)
    return audit
      .command(usage)
      .description(description)
      .option('--file <file>', 'another file than the one of the configuration, such as a copy')
      .option('--config <file>', 'the configuration file')
      .addHelpText('after', `\n${heading}:\n${lines.join('\n')}`)
  }

  command('tail', 'show the last rows', ['tail --lines 100 --follow', 'tail --follow --json'])
    .option('-n, --lines <number>', `how many, up to ${MOST_LINES}; ${USUAL_LINES} without it`)
    .option('-f, --follow', 'and those that are yet to come')
    .option('--json', 'for machines: one object a line')
    .action(reportingFailure(context, tail))
  command('verify', 'prove that nothing was altered: exit code 0 if it is intact, 1 if not', [
    'verify --since 1042:b987c60aecff04fe11f035e095800f87ce9f5febe82f52afdd8958183f9f2afb',
  ])
    .option('--since <head>', 'SEQ:HASH, as an earlier verify or the log has told it: it must still be there')
    .option('--json', 'for machines')
    .action(reportingFailure(context, prove))
  command('export', 'write rows out, oldest first', [
    'export --from 2026-11-01 --to 2026-12-01 --format csv > november.csv',
    'export > all.jsonl',
  ])
    .option('--from <time>', 'a day or an RFC 3339 time, UTC unless it says otherwise')
    .option('--to <time>', 'the same; it is not included any more')
    .addOption(new Option('--format <format>', 'of each row').choices(['jsonl', 'csv']).default('jsonl'))
    .action(reportingFailure(context, exportRows))
  return audit
}

function readLines(given: string | undefined): number {
  if (given === undefined) return USUAL_LINES
  const lines = Number(given)
  if (/^\d+$/.test(given) && lines <= MOST_LINES) return lines
  throw new CommandFailure(`--lines ${given} is no number from 0 to ${MOST_LINES}`, 2)
}

function readAnchor(given: string | undefined): Head | undefined {
  if (given === undefined) return undefined
  const [, seq, hash] = /^([1-9]\d{0,14}):([0-9a-f]{64})$/i.exec(given) ?? []
  if (seq !== undefined && hash !== undefined) return { seq: Number(seq), hash: hash.toLowerCase() }
  throw new CommandFailure(`--since ${given} is no SEQ:HASH, such as \`audit verify\` prints as the head`, 2)
}

/** A day begins at midnight, UTC. */
const TIME = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?$/

function readTime(option: string, given: string | undefined): number | undefined {
  if (given === undefined) return undefined
  const isLocal = given.includes('T') && !/(Z|[+-]\d\d:\d\d)$/.test(given)
  const time = TIME.test(given) ? Date.parse(isLocal ? `${given}Z` : given) : Number.NaN
  if (Number.isNaN(time))
    throw new CommandFailure(`${option} ${given} is no time such as 2026-11-24T08:00:00Z`, 2)
  return time
}
