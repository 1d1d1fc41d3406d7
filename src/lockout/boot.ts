import { readFileSync } from 'node:fs'

/** The one clock that goes on across restarts of the daemon, and that nobody can set: until the machine starts anew. */
export interface Boot {
  /** Another one after each start of the machine; undefined where the system doesn't tell. */
  readonly id: string | undefined
  /** Milliseconds of a clock that all processes of one boot share. */
  nowMs(): number
}

/** CLOCK_MONOTONIC and the kernel's own id; both also in a container. */
export const systemBoot: Boot = { id: readBootId(), nowMs: () => Number(process.hrtime.bigint()) / 1e6 }

function readBootId(): string | undefined {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    // Not Linux: the wall clock has to do.
    return undefined
  }
}
