import type { Log } from '../authentication/log.ts'
import { visible } from './terminal.ts'

/** The log of a command that runs backends by itself: what is wrong goes to standard error, a line each, without its fields. */
export function createQuietLog(stderr: NodeJS.WritableStream): Log {
  const say = (_fields: object, message: string) => void stderr.write(`${visible(message)}\n`)
  const nothing = () => {}
  const log: Log = { debug: nothing, info: nothing, warn: nothing, error: say, fatal: say, child: () => log }
  return log
}
