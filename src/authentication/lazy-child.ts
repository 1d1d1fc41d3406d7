import type { Level, Log } from './log.ts'

/** A child that is made when something is said to it: most attempts say nothing, and a child of pino's costs more than they do. */
export function lazyChild(parent: Log, fields: object): Log {
  let made: Log | undefined
  const child = () => {
    made ??= parent.child(fields)
    return made
  }
  const write = (level: Level) => (given: object, message: string) => child()[level](given, message)
  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    fatal: write('fatal'),
    child: more => lazyChild(parent, { ...fields, ...more }),
    isLevelEnabled: level => parent.isLevelEnabled?.(level) ?? true,
  }
}
