/** Notices that files of the configuration have changed: a write in place, a rename over it, a symlink swap (faults.md F30). */
import { createHash } from 'node:crypto'
import { type FSWatcher, watch } from 'node:fs'
import { realpath } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { Log } from '../authentication/log.ts'
import { type ReadFile, readFromDisk } from './secret-file.ts'

export interface FileWatch {
  /**
   * Runs a load. The files that it asks `readFile` for are the watched ones from then on, with what was in them then,
   * those that could not be read included: whether the load passes makes no difference.
   */
  during<T>(load: (readFile: ReadFile) => Promise<T>): Promise<T>
  /** Begins to watch, from what was loaded before. `onChange`: some file is not what was loaded last, and is settled. */
  start(onChange: () => void, log: Log): void
  stop(): void
}

export interface FileWatchOptions {
  /** A file that is being written is not read half-way, in milliseconds. */
  readonly settleMs?: number
  /** Files are looked at anyway after so many milliseconds: not every file system tells of changes. */
  readonly everyMs?: number
}

/** By path, what stands in each file, as a hash. */
type Contents = ReadonlyMap<string, string>

export function createFileWatch({ settleMs = 300, everyMs = 10_000 }: FileWatchOptions = {}): FileWatch {
  const folders = new Map<string, FSWatcher>()
  let loaded: Contents = new Map()
  let changing: string | undefined
  let loads = 0
  let timer: NodeJS.Timeout | undefined
  let deaf = false
  let started: { readonly onChange: () => void; readonly log: Log; readonly poll: NodeJS.Timeout } | undefined

  /** Not put off by what happens meanwhile: a folder may be busy with other files. */
  function soon(): void {
    if (started) timer ??= setTimeout(look, settleMs).unref()
  }

  async function look(): Promise<void> {
    timer = undefined
    const before = loaded
    const now = spell(await readAll([...before.keys()]))
    // A load that is under way, or was, knows better.
    if (!started || loads > 0 || loaded !== before) return
    if (now === spell(before)) {
      changing = undefined
    } else if (now !== changing) {
      changing = now
      soon()
    } else {
      changing = undefined
      started.onChange()
    }
  }

  /** The folders, because a file that is replaced is another file; of links both ends. */
  async function follow({ log }: { readonly log: Log }): Promise<void> {
    const wanted = new Set<string>()
    for (const path of loaded.keys()) {
      wanted.add(dirname(resolve(path)))
      const real = await realpath(path).catch(() => undefined)
      if (real !== undefined) wanted.add(dirname(real))
    }
    if (!started) return
    for (const [folder, watcher] of folders) {
      // Made anew each time: a folder that was replaced would be watched where it no longer is.
      watcher.close()
      folders.delete(folder)
    }
    for (const folder of wanted) listenTo(folder, log)
  }

  function listenTo(folder: string, log: Log): void {
    try {
      const watcher = watch(folder, { persistent: false }, soon)
      watcher.on('error', () => watcher.close())
      folders.set(folder, watcher)
    } catch (error) {
      // A folder that is not there will be looked for; a system that has no watches left is worth a word.
      const code = error instanceof Error && 'code' in error ? error.code : undefined
      if (deaf || code === 'ENOENT' || code === 'ENOTDIR') return
      deaf = true
      log.warn({ folder, code }, `changes of configuration files are noticed only every ${everyMs / 1000} s`)
    }
  }

  return {
    async during(load) {
      const read = new Map<string, string>()
      loads++
      try {
        return await load(async path => {
          try {
            const content = await readFromDisk(path)
            read.set(path, hash(content.bytes))
            return content
          } catch (error) {
            read.set(path, faultOf(error))
            throw error
          }
        })
      } finally {
        loads--
        loaded = read
        changing = undefined
        if (started) await follow(started)
        // Of a change since it was read nobody may have told.
        soon()
      }
    },
    start(onChange, log) {
      started = { onChange, log, poll: setInterval(soon, everyMs).unref() }
      void follow(started).then(soon)
    },
    stop() {
      clearInterval(started?.poll)
      clearTimeout(timer)
      started = undefined
      for (const watcher of folders.values()) watcher.close()
    },
  }
}

async function readAll(paths: readonly string[]): Promise<Contents> {
  const entries = paths.map(async path => {
    const content = await readFromDisk(path).then(({ bytes }) => hash(bytes), faultOf)
    return [path, content] as const
  })
  return new Map(await Promise.all(entries))
}

function spell(contents: Contents): string {
  return JSON.stringify([...contents].sort(([a], [b]) => (a < b ? -1 : 1)))
}

function hash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('base64')
}

function faultOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unreadable'
}
