import { closeSync, openSync, readFileSync, readSync } from 'node:fs'

/** One stretch of a process's memory, as /proc/PID/maps has it. */
interface Region {
  readonly start: number
  readonly end: number
  /** What it is of: `[heap]`, a file, or empty for what was asked for from the system. */
  readonly name: string
}

/** In how many places of a process's own memory, by what they are of. Only root and the same user may look. */
export function countInMemory(pid: number, needle: Buffer): ReadonlyMap<string, number> {
  const found = new Map<string, number>()
  const memory = openSync(`/proc/${pid}/mem`, 'r')
  try {
    for (const { start, end, name } of writable(pid)) {
      const content = Buffer.alloc(end - start)
      let size = 0
      try {
        size = readSync(memory, content, 0, content.length, start)
      } catch {
        // Given back meanwhile.
        continue
      }
      const octets = content.subarray(0, size)
      for (let at = octets.indexOf(needle); at >= 0; at = octets.indexOf(needle, at + 1)) {
        const of = `${name || 'anonymous'} ${process.env.SECRETS_SHOW ? show(octets, at) : ''}`
        found.set(of, (found.get(of) ?? 0) + 1)
      }
    }
  } finally {
    closeSync(memory)
  }
  return found
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
