/** Time is handed in, so that tests own it and a wall-clock jump moves no lock (lockout.md, Rules). */
export interface Clock {
  /** Monotonic milliseconds, for every duration. Its zero means nothing. */
  now(): number
  /** Wall clock in milliseconds since the Unix epoch, for what is written down and for certificates. */
  wall(): number
}

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
}
