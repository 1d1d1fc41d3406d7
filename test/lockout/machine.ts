import type { Test } from 'tap'
import type { Saved } from '../../src/lockout/journal.ts'
import { createJournal, type JournalTable } from '../../src/lockout/sqlite-journal.ts'
import { openLockoutTable } from '../../src/users/lockout-table.ts'
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts'
import { createLogRecorder } from '../support/log-recorder.ts'
import { open, temporaryPath } from '../users/temporary.ts'

export const SECOND = 1_000
export const HOUR = 3_600_000
export const DAY = 24 * HOUR

/** A machine with one database, whose daemon can be restarted, and which can be booted itself. */
export function createMachine(t: Test, path = temporaryPath(t)) {
  const database = open(t, path)
  const log = createLogRecorder()
  let clock = createFakeClock()
  let zero = clock.now() - 5_000
  let boots = 1
  const machine = {
    path,
    database,
    log,
    get clock(): FakeClock {
      return clock
    },
    rows: () => database.prepare('SELECT count(*) FROM lockout').pluck().get(),
    /** Starts the daemon. Its monotonic clock has another zero than the one before, as after a restart. */
    start(instead: (table: JournalTable) => JournalTable = table => table) {
      const bootMs = clock.now() - zero
      const other = createFakeClock(clock.wall())
      other.advance(boots * 777)
      other.jumpWall(-boots * 777)
      clock = other
      zero = clock.now() - bootMs
      const id = `boot-${boots}`
      const here = { clock, zero }
      const boot = { id, nowMs: () => here.clock.now() - here.zero }
      const journal = createJournal({ table: instead(openLockoutTable(path)), clock, boot, log })
      t.teardown(() => journal.close())
      return journal
    },
    /** @param wallMs how far the wall clock says that it took */
    reboot(wallMs: number) {
      clock.jumpWall(wallMs)
      boots++
      zero = clock.now() - 3
    },
  }
  return machine
}

export const lockedFor = (clock: FakeClock, ms: number): Saved => ({
  what: 'record',
  kind: 'pair',
  record: { failures: [], lock: { untilMs: clock.now() + ms, tier: 1 } },
})

export function remaining(clock: FakeClock, saved: Saved | undefined): number | undefined {
  return saved?.what === 'record' && saved.record.lock ? saved.record.lock.untilMs - clock.now() : undefined
}
