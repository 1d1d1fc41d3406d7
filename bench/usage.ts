/** What a process has used, from proc(5); its children and threads included. */
import { readdirSync, readFileSync } from 'node:fs'

/** Clock ticks a second of /proc: a constant of the Linux ABI. */
const TICKS = 100

/** Seconds of CPU that these processes and their children have used so far, those that have ended included. */
export function cpuSeconds(pids: readonly number[]): number {
  return withChildren(pids).reduce((sum, pid) => sum + cpuOf(pid), 0)
}

/** Seconds of CPU of the thread that a process began with: in Node, the one that runs JavaScript. */
export function mainThreadSeconds(pid: number): number {
  return ticksIn(read(`/proc/${pid}/task/${pid}/stat`), 2) / TICKS
}

/** Their resident memory, in MiB. Pages that several share count for each. */
export function residentMiB(pids: readonly number[]): number {
  return withChildren(pids).reduce((sum, pid) => {
    const kib = /^VmRSS:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`))?.[1]
    return sum + Number(kib ?? 0) / 1024
  }, 0)
}

function cpuOf(pid: number): number {
  return ticksIn(read(`/proc/${pid}/stat`), 4) / TICKS
}

/** utime, stime, and those of children that were waited for: fields 14 to 17; the first so many of them. */
function ticksIn(stat: string, count: number): number {
  // The command's name is in parentheses, and may hold anything.
  const fields = stat.split(') ').at(-1)?.split(' ') ?? []
  return fields.slice(11, 11 + count).reduce((sum, ticks) => sum + Number(ticks), 0)
}

function withChildren(pids: readonly number[]): number[] {
  return pids.flatMap(pid => [pid, ...withChildren(childrenOf(pid))])
}

function childrenOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap(task =>
      read(`/proc/${pid}/task/${task}/children`).split(' ').filter(Boolean).map(Number),
    )
  } catch {
    return []
  }
}

/** Empty for a process that has ended. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
