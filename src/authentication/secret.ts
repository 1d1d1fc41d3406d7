import { inspect } from 'node:util'

const MASK = '[secret]'

/**
 * A value that cannot be printed by accident: string conversion, JSON, `console.log`, `util.inspect` and
 * pino all show `[secret]`. Only `reveal()` gives the value, so every use is found by searching for that word
 * (security.md S77).
 */
export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
    // A plugin that is handed it must not be able to give the next one something else.
    Object.freeze(this)
  }

  /** The value itself. Hand it to the one function that needs it and keep no copy. */
  reveal(): string {
    return this.#value
  }

  /**
   * The value in UTF-8 for as long as `use` takes, and zeros afterwards. A string that is handed to Node.js is copied on the way and
   * the copy left lying about, and so is a buffer that nobody clears.
   */
  octets<T>(use: (octets: Buffer) => T): T {
    const octets = Buffer.from(this.#value)
    try {
      return use(octets)
    } finally {
      octets.fill(0)
    }
  }

  toString(): string {
    return MASK
  }

  toJSON(): string {
    return MASK
  }

  [inspect.custom](): string {
    return MASK
  }
}
