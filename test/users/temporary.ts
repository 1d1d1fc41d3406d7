import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Test } from 'tap'
import { systemClock } from '../../src/authentication/clock.ts'
import { createUsernameNormaliser } from '../../src/authentication/username.ts'
import { type DatabaseOptions, openDatabase, type UserDatabase } from '../../src/users/database.ts'
import { createUserStore } from '../../src/users/store.ts'

/** Real SQLite files in a folder of the test, and other processes at them. */

export const quiet = { warn: () => {} }

export function temporaryPath(t: Test): string {
  return join(t.testdir(), 'data', 'gatehouse.db')
}

export function open(t: Test, path: string, options: Partial<DatabaseOptions> = {}) {
  const database = openDatabase(path, { log: quiet, ...options })
  t.teardown(() => database.close())
  return database
}

export function openStore(t: Test, path = temporaryPath(t), options: Partial<DatabaseOptions> = {}) {
  const database = open(t, path, options)
  const normalise = createUsernameNormaliser([{ netbios: 'CORP', suffixes: ['corp.example', 'corp.local'] }])
  const store = createUserStore({ database, normalise, clock: systemClock })
  return { path, database, store }
}

/** As the first release left it: users only. */
export function takeBackToFirstSchema(database: UserDatabase): void {
  database.exec('DROP TABLE lockout')
  database.pragma('user_version = 1')
}

/** Starts test/users/other-process.ts; `lines` gives what it prints, `end` ends it and waits. */
export function otherProcess(t: Test, ...args: string[]) {
  const script = join(import.meta.dirname, 'other-process.ts')
  const child = spawn(process.execPath, [script, ...args], { stdio: ['pipe', 'pipe', 'inherit'], env: {} })
  const exited = once(child, 'exit')
  const end = async (signal?: NodeJS.Signals) => {
    if (signal === undefined) child.stdin.end()
    else child.kill(signal)
    await exited
  }
  t.teardown(() => end('SIGKILL'))
  return { lines: createInterface(child.stdout)[Symbol.asyncIterator](), end, exited }
}
