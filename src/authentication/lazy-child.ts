import { type Level, type Log, logLevels } from './log.ts'

/** A child that is made when something is said to it: most attempts say nothing, and a child of pino's costs more than they do. */
export function lazyChild(parent: Log, fields: object): Log {
  let made: Log | undefined
  const child = () => {
    made ??= parent.child(fields)
    return made
  }
  const write = (level: Level) => (given: object, message: string) => child()[level](given, message)
  return {
    ...logLevels(write),
    child: more => lazyChild(parent, { ...fields, ...more }),
    isLevelEnabled: level => parent.isLevelEnabled?.(level) ?? true,
  }
}
