import type { Log } from '../../src/authentication/log.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'fatal'

export interface LogLine {
  readonly level: LogLevel
  readonly message: string
  /** The line's own fields over those of the child loggers it came through. */
  readonly fields: Readonly<Record<string, unknown>>
}

/** A log that keeps what it is told, for tests to read. */
export interface LogRecorder extends Log {
  /** Every line in order, its children's too. */
  readonly lines: readonly LogLine[]
  at(level: LogLevel): LogLine[]
  /** Everything that was said as one text, errors with their messages and causes: to search it for a secret. */
  text(): string
}

export function createLogRecorder(): LogRecorder {
  const lines: LogLine[] = []
  return {
    ...recordInto(lines, {}),
    lines,
    at: level => lines.filter(line => line.level === level),
    text: () =>
      lines.map(line => `${line.level} ${line.message} ${JSON.stringify(line.fields, spellOut)}`).join('\n'),
  }
}

function recordInto(lines: LogLine[], bound: Record<string, unknown>): Log {
  const record = (level: LogLevel) => (fields: object, message: string) => {
    lines.push({ level, message, fields: { ...bound, ...fields } })
  }
  return {
    debug: record('debug'),
    info: record('info'),
    warn: record('warn'),
    error: record('error'),
    fatal: record('fatal'),
    child: fields => recordInto(lines, { ...bound, ...fields }),
  }
}

function spellOut(_key: string, value: unknown): unknown {
  if (value instanceof Error) {
    const { name, message, stack, cause } = value
    return { ...value, name, message, stack, cause }
  }
  return typeof value === 'bigint' ? String(value) : value
}
