/** Those who wait for a place on a key, in the order they came. */
export interface WaitingLine {
  /**
   * Waits until called, at most `waitMs`. Stands in the line before this returns.
   *
   * @param inFront for one who was called in vain and keeps his turn
   */
  wait(key: string, waitMs: number, inFront: boolean): Promise<'called' | 'timed_out' | 'no_room'>
  /** Calls the first in the line for this key, if there is one. */
  call(key: string): void
  isEmpty(key: string): boolean
  /** Whether anybody waits, for whatever key. */
  isDeserted(): boolean
}

/** @param maxWaiting in all lines together; whoever comes then need not wait */
export function createWaitingLine(maxWaiting: number): WaitingLine {
  const lines = new Map<string, (() => void)[]>()
  let waiting = 0

  function leaveLine(key: string, line: (() => void)[], waiter: () => void): void {
    line.splice(line.indexOf(waiter), 1)
    if (line.length === 0) lines.delete(key)
    waiting--
  }

  return {
    wait(key, waitMs, inFront) {
      if (waiting >= maxWaiting) return Promise.resolve('no_room')
      return new Promise(resolve => {
        const line = lines.get(key) ?? []
        lines.set(key, line)
        const waiter = () => {
          clearTimeout(timer)
          leaveLine(key, line, waiter)
          resolve('called')
        }
        const timer = setTimeout(() => {
          leaveLine(key, line, waiter)
          resolve('timed_out')
        }, waitMs)
        if (inFront) line.unshift(waiter)
        else line.push(waiter)
        waiting++
      })
    },
    call(key) {
      lines.get(key)?.[0]?.()
    },
    isEmpty: key => !lines.has(key),
    isDeserted: () => waiting === 0,
  }
}
