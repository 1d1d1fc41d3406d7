import type { LoadedConfig } from '../config/config.ts'
import type { ReadFile } from '../config/secret-file.ts'

/** What `main.ts` hands to every command, so that a test can run one without a process. */
export interface CommandContext {
  readonly stdin: NodeJS.ReadableStream
  readonly stdout: NodeJS.WritableStream
  readonly stderr: NodeJS.WritableStream
  readonly env: NodeJS.ProcessEnv
  /** Write ANSI colours: a terminal, and `NO_COLOR` is not set. */
  readonly color: boolean
  /**
   * Reads and validates a configuration file; `configFile(option, env)` in config/config-file.ts chooses which.
   * @param readFile for the file itself and for secrets; default: from disk
   * @throws ConfigProblems
   */
  loadConfig(file: string, readFile?: ReadFile): Promise<LoadedConfig>
  /** 0 done (the default), 1 it failed or the answer is no, 2 wrong usage. */
  setExitCode(code: 0 | 1 | 2): void
}
