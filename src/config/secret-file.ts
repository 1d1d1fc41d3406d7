import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { isAbsolute } from 'node:path'

/** What stands in a file, and its permission bits. */
export interface FileContent {
  readonly bytes: Uint8Array
  readonly mode: number
}

/** Reads a file whole. Rejects with a Node system error, or with `code: 'ENOTFILE'` for what is no regular file. */
export type ReadFile = (path: string) => Promise<FileContent>

export type SecretFile =
  | { readonly ok: true; readonly value: string; readonly worldReadable: boolean }
  | { readonly ok: false; readonly message: string; readonly hint?: string }

const EVERYBODY_MAY_READ = 0o004
const LARGEST = 1024 ** 2

/** Reads a file from disk: at most 1 MiB, and nothing that could wait for ever, such as a pipe. */
export async function readFromDisk(path: string): Promise<FileContent> {
  await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const stats = await file.stat()
  if (!stats.isFile()) throw Object.assign(new Error('not a regular file'), { code: 'ENOTFILE' })
  if (stats.size > LARGEST) throw Object.assign(new Error('too large'), { code: 'EFBIG' })
  return { bytes: await file.readFile(), mode: stats.mode }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'the file may not be read by this user',
  EPERM: 'the file may not be read by this user',
  EISDIR: 'this is a directory, not a file',
  ENOTDIR: 'part of the path is not a directory',
  ENOTFILE: 'this is not a regular file',
  EFBIG: 'the file is larger than 1 MiB',
}

/** Why a file could not be read, in words without its path. */
export function whyUnreadable(error: unknown): string {
  const code = codeOf(error)
  return REASONS[code] ?? `the file cannot be read (${code})`
}

/** What to do about a file that could not be read, where something helps. */
export function remedyFor(error: unknown, path: string): string | undefined {
  switch (codeOf(error)) {
    case 'ENOENT':
    case 'ENOTDIR':
      return isAbsolute(path) ? undefined : 'relative paths start in the working directory'
    case 'EACCES':
    case 'EPERM':
      return 'run this as the user that runs the daemon, or let this user read it and enter its folders'
    default:
      return undefined
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
}

/** Decodes UTF-8 strictly, without a byte order mark; undefined for anything else. */
export function decodeText(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}

/** Reads a secret: one trailing newline is dropped, an empty file is refused. */
export async function readSecretFile(path: string, readFile: ReadFile): Promise<SecretFile> {
  let content: FileContent
  try {
    content = await readFile(path)
  } catch (error) {
    const hint = remedyFor(error, path)
    return { ok: false, message: whyUnreadable(error), ...(hint && { hint }) }
  }
  const value = decodeText(content.bytes)?.replace(/\r?\n$/, '')
  if (value === undefined) return { ok: false, message: 'the file is not UTF-8 text' }
  if (value === '') return { ok: false, message: 'the file is empty' }
  return { ok: true, value, worldReadable: (content.mode & EVERYBODY_MAY_READ) !== 0 }
}
