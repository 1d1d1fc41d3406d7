import { closeSync, openSync, readFileSync, readSync } from 'node:fs'

/** One stretch of a process's memory, as /proc/PID/maps has it. */
interface Region {
  readonly start: number
  readonly end: number
  /** What it is of: `[heap]`, a file, or empty for what was asked for from the system. */
  readonly name: string
}

/** Where a text was found, and how often. */
export type Places = ReadonlyMap<string, number>

/**
 * In which places of a process's own memory each of these stands, by what they are of; with `SECRETS_SHOW=1` also among what. Only
 * root and the same user may look.
 */
export function findInMemory(pid: number, texts: readonly string[]): ReadonlyMap<string, Places> {
  const found = new Map(texts.map(text => [text, new Map<string, number>()]))
  const memory = openSync(`/proc/${pid}/mem`, 'r')
  try {
    for (const { start, end, name } of writable(pid)) {
      const octets = readRegion(memory, start, end)
      for (const [text, places] of found) {
        for (let at = octets.indexOf(text); at >= 0; at = octets.indexOf(text, at + 1)) {
          const place = `${name || 'anonymous'}${process.env.SECRETS_SHOW ? ` ${show(octets, at)}` : ''}`
          places.set(place, (places.get(place) ?? 0) + 1)
        }
      }
    }
  } finally {
    closeSync(memory)
  }
  return found
}

function readRegion(memory: number, start: number, end: number): Buffer {
  const content = Buffer.alloc(end - start)
  try {
    return content.subarray(0, readSync(memory, content, 0, content.length, start))
  } catch {
    // Given back meanwhile.
    return Buffer.alloc(0)
  }
}

function show(octets: Buffer, at: number): string {
  return JSON.stringify(octets.toString('latin1', Math.max(0, at - 60), at + 40).replace(/[^ -~]+/g, '.'))
}

function writable(pid: number): readonly Region[] {
  return readFileSync(`/proc/${pid}/maps`, 'utf8')
    .split('\n')
    .flatMap(line => {
      const [, start = '', end = '', rights = '', name = ''] =
        /^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)$/.exec(line) ?? []
      if (!rights.startsWith('rw') || name === '[vvar]') return []
      return [{ start: Number.parseInt(start, 16), end: Number.parseInt(end, 16), name }]
    })
}
