import { execFile } from 'node:child_process'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { RunningGatehouse } from './gatehouse.ts'

const run = promisify(execFile)
const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

/**
 * Adds a user to the daemon's own database, by the command that operators use.
 *
 * @returns the password
 */
export async function addLocalUser({ configFile }: RunningGatehouse, username: string): Promise<string> {
  const args = ['user', 'add', username, '--generate', '--json', '--config', configFile]
  const { stdout } = await run(process.execPath, [MAIN, ...args], { cwd: dirname(configFile) })
  const { password } = JSON.parse(stdout)
  if (typeof password !== 'string') throw new Error(`no password in ${stdout}`)
  return password
}
