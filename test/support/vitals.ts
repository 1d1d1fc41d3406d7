import { readdirSync, readFileSync, writeFileSync } from 'node:fs'

/** What a process looks like from outside, and how to tell its slowness from that of a busy machine. */

/** Resident set size of a process, in bytes (proc_pid_status(5)). */
export const residentBytes = (pid: number) => bytesOf(pid, 'VmRSS')

/** The most that it ever was, or was since `forgetPeak`. */
export const peakBytes = (pid: number) => bytesOf(pid, 'VmHWM')

/** From here on the peak is that of what follows (proc_pid_clear_refs(5)). */
export function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5')
}

function bytesOf(pid: number, what: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const kilobytes = new RegExp(`^${what}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]
  if (kilobytes === undefined) throw new Error(`process ${pid} shows no ${what}`)
  return Number(kilobytes) * 1024
}

/** Open file descriptors of a process, sockets included. */
export function openDescriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length
}

/**
 * User and system time of a process's first thread so far, in milliseconds (proc_pid_stat(5)): that of its event loop, without
 * those that hash passwords or collect garbage beside it.
 */
export function loopCpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/task/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')
  // Ticks of 10 ms: USER_HZ is 100 on Linux.
  return (Number(fields[11]) + Number(fields[12])) * 10
}

/** @param p in (0, 1] */
export function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(sorted.length * p) - 1)] ?? 0
}

/**
 * For how long, since the machine started, some process was ready to run and had no processor, in milliseconds; 0 where the
 * kernel does not say (Documentation/accounting/psi.rst). The tests share their processors with whatever else runs, and what
 * a machine cannot give is not the daemon's to answer for.
 */
export function crowdedMs(): number {
  try {
    const total = /^some .*total=(\d+)$/m.exec(readFileSync('/proc/pressure/cpu', 'utf8'))?.[1]
    return Number(total ?? 0) / 1_000
  } catch {
    return 0
  }
}

/**
 * Of a duration, what is the daemon's own. That somebody had no processor does not mean that the daemon was the one: at least
 * half of it stays, so that no figure vanishes on a busy machine.
 */
export function ownMs(ms: number, crowdedMs: number): number {
  return ms - Math.min(crowdedMs, ms / 2)
}
