/** The token that lets operators' commands past the admin listener's door: whoever can read the daemon's files has it. */
import { randomBytes } from 'node:crypto'
import { closeSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Log } from '../authentication/log.ts'
import { Secret } from '../authentication/secret.ts'

/** 256 bits, in base64url. */
const TOKEN_BYTES = 32
const TOKEN = /^[A-Za-z0-9_-]{43}$/

/** A new one for each start, so that an old copy is worth nothing. */
export function createAdminToken(): Secret {
  return new Secret(randomBytes(TOKEN_BYTES).toString('base64url'))
}

/** Beside the database and by its name, so that each of two daemons whose databases share a folder has its own. */
export function adminTokenFile(database: string): string {
  return `${database}.admin-token`
}

/**
 * Puts the token where commands look for it. Where that cannot be, the daemon does without commands, and says so.
 *
 * @returns takes it away again, unless another daemon has put its own there
 */
export function publishAdminToken(file: string, token: Secret, log: Pick<Log, 'warn'>): () => void {
  try {
    writeToken(file, token)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    log.warn({ file, reason }, 'the admin token cannot be written: commands cannot ask this daemon')
  }
  return () => {
    if (readAdminToken(file)?.reveal() === token.reveal()) rmSync(file, { force: true })
  }
}

/** @returns undefined if there is none, or it is not to be read or no token: then no command can use it */
export function readAdminToken(file: string): Secret | undefined {
  try {
    const text = readFileSync(file, 'utf8').trim()
    return TOKEN.test(text) ? new Secret(text) : undefined
  } catch {
    return undefined
  }
}

/** Mode 0600, and never half of it. */
function writeToken(file: string, token: Secret): void {
  const fresh = join(dirname(file), `.${basename(file)}.${randomBytes(6).toString('hex')}`)
  // `wx`: a link that somebody has laid there is not followed.
  const handle = openSync(fresh, 'wx', 0o600)
  try {
    writeSync(handle, `${token.reveal()}\n`)
    renameSync(fresh, file)
  } catch (error) {
    rmSync(fresh, { force: true })
    throw error
  } finally {
    closeSync(handle)
  }
}
