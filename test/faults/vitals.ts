import { readdirSync, readFileSync } from 'node:fs'

/** What a process looks like from outside, and how to tell its slowness from that of a busy machine. */

/** Resident set size of a process, in bytes (proc_pid_status(5)). */
export function residentBytes(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  if (kilobytes === undefined) throw new Error(`process ${pid} shows no resident set`)
  return Number(kilobytes) * 1024
}

/** Open file descriptors of a process, sockets included. */
export function openDescriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length
}

/** User and system time that a process has used so far, in milliseconds (proc_pid_stat(5)). */
export function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
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
