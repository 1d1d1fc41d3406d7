import { formatProblems } from './report.ts'

/** What is wrong with a configuration file, and where. */
export interface Problem {
  /** A warning is shown but stops nothing. */
  readonly severity: 'error' | 'warning'
  readonly file: string
  /** From 1; absent when the file as a whole is meant. */
  readonly line?: number
  /** From 1, in UTF-16 code units. */
  readonly column?: number
  /** What is wrong, in one line without a full stop. Never holds the value of a secret. */
  readonly message: string
  /** The line of the file with a caret under it, secrets masked. */
  readonly excerpt?: string
  /** What to do instead, in one line. */
  readonly hint?: string
}

/** Thrown by `loadConfig`: everything that is wrong with the file, in file order. */
export class ConfigProblems extends Error {
  override readonly name = 'ConfigProblems'
  /** Errors and warnings; at least one is an error. */
  readonly problems: readonly Problem[]

  constructor(problems: readonly Problem[]) {
    super(formatProblems(problems, { color: false }))
    this.problems = problems
  }
}
