import type { Log } from '../../authentication/log.ts'

const nothing = () => {}

/** What `doctor` gives to those it looks at: what is wrong is in its report, and nothing stands between the lines of that. */
export const silentLog: Log = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  fatal: nothing,
  child: () => silentLog,
}
