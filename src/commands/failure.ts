import type { CommandContext } from './context.ts'

/** Ends a command: one line for the operator, and the exit code. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure'
  /** 1 it failed or the answer is no, 2 it was called in a way that cannot work. */
  readonly exitCode: 1 | 2

  constructor(message: string, exitCode: 1 | 2 = 1) {
    super(message)
    this.exitCode = exitCode
  }
}

/** The action of a command that may throw a CommandFailure. Any other error is the caller's. */
export function reportingFailure<Args extends unknown[]>(
  { stderr, setExitCode }: CommandContext,
  action: (...args: Args) => Promise<void>,
): (...args: Args) => Promise<void> {
  return async (...args) => {
    try {
      await action(...args)
    } catch (error) {
      if (!(error instanceof CommandFailure)) throw error
      stderr.write(`${error.message}\n`)
      setExitCode(error.exitCode)
    }
  }
}
