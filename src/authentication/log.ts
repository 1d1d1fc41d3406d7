/** The part of a structured logger that the rooms need; pino fits it. Never pass a password: wrap it in a Secret. */
export interface Log {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
  /** Wakes somebody up: a known-bad service password, for instance. */
  fatal(fields: object, message: string): void
  child(fields: object): Log
  /** Whether lines of this level are written; without it all are. */
  isLevelEnabled?(level: Level): boolean
  /**
   * For whoever writes many lines of one kind: true where too many came already, and one more is only counted. It has been counted
   * then, so that its fields need not be made. Without it every line has to be.
   */
  leavesOut?(level: Level, message: string): boolean
}

export type Level = 'debug' | 'info' | 'warn' | 'error' | 'fatal'
