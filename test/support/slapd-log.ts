import { readFile } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'

/** What slapd wrote at its `stats` level about the operations that clients sent. */

export interface LoggedBind {
  /** slapd's number of the connection: two binds on one connection have the same. */
  readonly connection: number
  /** As slapd prettifies it; empty for an anonymous bind. */
  readonly dn: string
  /** The LDAP result code; undefined if slapd had not answered when the log was read. */
  readonly result: number | undefined
}

export interface LoggedSearch {
  readonly connection: number
  readonly base: string
  readonly scope: 'base' | 'one' | 'sub' | undefined
  readonly filter: string
  /** Undefined if slapd had not answered when the log was read. */
  readonly result: number | undefined
}

/** slapd writes the line with the result just after it sent the answer, so the last lines may come a moment late. */
const settleMs = 1_000

/**
 * The log once every operation in it has its result, or after a second as it is.
 * A request's own line is written before its answer leaves: whoever has the answer finds the request here.
 */
export async function readSettledLog(file: string): Promise<string> {
  const giveUp = performance.now() + settleMs
  for (;;) {
    const log = await readFile(file, 'utf8')
    const pending = [...loggedBinds(log), ...loggedSearches(log)].some(({ result }) => result === undefined)
    if (!pending || performance.now() > giveUp) return log
    await pause(5)
  }
}

export function loggedBinds(log: string): LoggedBind[] {
  const results = resultsIn(log)
  return [...log.matchAll(/conn=(\d+) (op=\d+) BIND dn="(.*)" method=\d+$/gm)].map(
    ([, connection = '', op = '', dn = '']) => ({
      connection: Number(connection),
      dn,
      result: results.get(`${connection} ${op}`),
    }),
  )
}

export function loggedSearches(log: string): LoggedSearch[] {
  const results = resultsIn(log)
  return [...log.matchAll(/conn=(\d+) (op=\d+) SRCH base="(.*)" scope=(\d) .*filter="(.*)"$/gm)].map(
    ([, connection = '', op = '', base = '', scope = '', filter = '']) => ({
      connection: Number(connection),
      base,
      scope: (['base', 'one', 'sub'] as const)[Number(scope)],
      filter,
      result: results.get(`${connection} ${op}`),
    }),
  )
}

function resultsIn(log: string): Map<string, number> {
  const lines = log.matchAll(/conn=(\d+) (op=\d+) (?:SEARCH )?RESULT .*?\berr=(\d+)/gm)
  return new Map([...lines].map(([, connection, op, code]) => [`${connection} ${op}`, Number(code)]))
}
