import type { Level, Log } from './log.ts'

/** A child that is made when something is said to it: most attempts say nothing, and a child of pino's costs more than they do. */
export function lazyChild(parent: Log, fields: object): Log {
  return new LazyChild(parent, fields)
}

/** One object for each attempt, and not one for each of its levels. */
class LazyChild implements Log {
  readonly #parent: Log
  readonly #fields: object
  #made: Log | undefined

  constructor(parent: Log, fields: object) {
    this.#parent = parent
    this.#fields = fields
  }

  debug(fields: object, message: string): void {
    this.#child().debug(fields, message)
  }

  info(fields: object, message: string): void {
    this.#child().info(fields, message)
  }

  warn(fields: object, message: string): void {
    this.#child().warn(fields, message)
  }

  error(fields: object, message: string): void {
    this.#child().error(fields, message)
  }

  fatal(fields: object, message: string): void {
    this.#child().fatal(fields, message)
  }

  child(fields: object): Log {
    return new LazyChild(this.#parent, { ...this.#fields, ...fields })
  }

  isLevelEnabled(level: Level): boolean {
    return this.#parent.isLevelEnabled?.(level) ?? true
  }

  #child(): Log {
    this.#made ??= this.#parent.child(this.#fields)
    return this.#made
  }
}
