/** Keeps a password out of what a backend says: its errors, its reasons, its log (security.md S77). */
import type { Level, Log } from './log.ts'
import type { Secret } from './secret.ts'

/** What stands where a text held the password. The whole text goes: what is left of it would tell a short password. */
export const WITHHELD = '[withheld: the password was in it]'

/** Shorter ones are in any text by accident, and so would be the encodings of those that are not much longer. */
const LEAST_LENGTH = 4
const LEAST_OCTETS = 8
/** So much of a long one is looked for, as texts are cut off. */
const MOST_LENGTH = 64

export interface Redaction {
  /** Whether the password is in there, in one of its spellings. */
  holds(said: string): boolean
  /** The text, or `WITHHELD`. */
  text(said: string): string
  /** What was thrown, for the log: an error of the same name, with its frames, and with nothing that it carried. */
  error(thrown: unknown): Error
  /** What goes with a line of the log, without what holds the password, however deep. */
  fields(given: object): object
}

/** Looks for the password as it is, as JSON, URLs and forms write it, in base64, in hexadecimal and octet by octet. */
export function createRedaction(password: Secret): Redaction {
  let spellings: readonly string[] | undefined

  function holds(said: string): boolean {
    // Most attempts have nothing said about them.
    spellings ??= spell(password.reveal().slice(0, MOST_LENGTH))
    return spellings.some(spelling => said.includes(spelling))
  }

  function holdsWithin(value: unknown): boolean {
    let found = false
    const json = JSON.stringify(value, (key, inner) => {
      found ||= holds(key) || (typeof inner === 'string' && holds(inner))
      return inner
    })
    return found || (json !== undefined && holds(json))
  }

  function text(said: string): string {
    return holds(said) ? WITHHELD : said
  }

  function error(thrown: unknown): Error {
    try {
      if (!(thrown instanceof Error)) return new Error(`a ${typeof thrown} was thrown`)
      const shown = new Error(text(String(thrown.message)))
      shown.name = text(String(thrown.name))
      const stack = String(thrown.stack)
      shown.stack = holds(stack)
        ? [`${shown.name}: ${shown.message}`, ...framesOf(thrown).map(text)].join('\n')
        : stack
      return shown
    } catch {
      return new Error('something that cannot even be read was thrown')
    }
  }

  function value(given: unknown): unknown {
    if (typeof given === 'string') return text(given)
    if (given instanceof Error) return error(given)
    if (typeof given !== 'object' || given === null) return given
    return holdsWithin(given) ? WITHHELD : given
  }

  function fields(given: object): object {
    try {
      if (given instanceof Error) return { err: error(given) }
      if (typeof given !== 'object') return { said: value(given) }
      return Object.fromEntries(Object.entries(given).map(([name, content]) => [text(name), value(content)]))
    } catch {
      return { said: 'something that cannot even be read' }
    }
  }

  return { holds, text, error, fields }
}

/**
 * A logger that writes what it is given only where the password is not in it.
 *
 * @param redaction asked when something is said
 */
export function redactedLog(log: Log, redaction: () => Redaction): Log {
  return new RedactedLog(log, redaction)
}

/** One object for each attempt, and not one for each of its levels. */
class RedactedLog implements Log {
  readonly #to: Log
  readonly #redaction: () => Redaction

  constructor(to: Log, redaction: () => Redaction) {
    this.#to = to
    this.#redaction = redaction
  }

  debug(fields: object, message: string): void {
    this.#write('debug', fields, message)
  }

  info(fields: object, message: string): void {
    this.#write('info', fields, message)
  }

  warn(fields: object, message: string): void {
    this.#write('warn', fields, message)
  }

  error(fields: object, message: string): void {
    this.#write('error', fields, message)
  }

  fatal(fields: object, message: string): void {
    this.#write('fatal', fields, message)
  }

  child(given: object): Log {
    return new RedactedLog(this.#to.child(this.#redaction().fields(given)), this.#redaction)
  }

  isLevelEnabled(level: Level): boolean {
    return this.#to.isLevelEnabled?.(level) ?? true
  }

  #write(level: Level, given: object, message: string): void {
    if (!this.isLevelEnabled(level)) return
    const { fields, text } = this.#redaction()
    this.#to[level](fields(given), text(String(message)))
  }
}

/**
 * Where it came from, without what was said: a line a frame, as V8 writes them, with a place in a file at its end. A message of
 * several lines may look like frames, so it is left out first.
 */
export function framesOf({ stack = '', message }: Error): readonly string[] {
  const [said, shown] = [String(message), String(stack)]
  const at = said === '' ? -1 : shown.indexOf(said)
  const frames = at < 0 ? shown : shown.slice(at + said.length)
  return frames.match(/^ {4}at .*:\d+:\d+\)?$/gm) ?? []
}

function spell(password: string): readonly string[] {
  if (password.length < LEAST_LENGTH) return []
  const spellings = [password, JSON.stringify(password).slice(1, -1)]
  if (password.isWellFormed()) {
    spellings.push(encodeURIComponent(password), new URLSearchParams([['', password]]).toString().slice(1))
  }
  const octets = Buffer.from(password)
  if (octets.length >= LEAST_OCTETS) {
    const hex = octets.toString('hex')
    spellings.push(
      hex,
      hex.toUpperCase(),
      octets.join(','),
      ...[0, 1, 2].flatMap(before => base64(octets, before)),
    )
  }
  octets.fill(0)
  return [...new Set(spellings)]
}

/** As it stands behind so many octets of something else, without the characters that it shares with its neighbours. */
function base64(octets: Buffer, before: number): readonly string[] {
  const all = Buffer.concat([Buffer.alloc(before), octets])
  // Without padding, and by no regular expression: those keep the last text that they were used on.
  const own = all.toString('base64url').slice(before === 0 ? 0 : before + 1, -1)
  all.fill(0)
  return [own, own.replaceAll('-', '+').replaceAll('_', '/')]
}
