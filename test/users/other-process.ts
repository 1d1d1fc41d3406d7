/**
 * Another process at the same database: `node other-process.ts <what> <path>`.
 * - open: opens it, as a daemon that starts, and prints its installation secret
 * - first-admin: also makes the first admin, and prints the password or "none"
 * - hold immediate|exclusive [ms]: keeps SQLite's lock until its stdin ends or for that long, prints "held"
 * - journal: writes locks down until it is killed, and prints each key, and until when by the machine's clock, once flushed
 * - write: adds users until it is killed, and prints each name once it is stored
 */
import Sqlite from 'better-sqlite3'
import { systemClock } from '../../src/authentication/clock.ts'
import { createUsernameNormaliser } from '../../src/authentication/username.ts'
import { systemBoot } from '../../src/lockout/boot.ts'
import { createJournal } from '../../src/lockout/sqlite-journal.ts'
import { installationSecret, openDatabase } from '../../src/users/database.ts'
import { prepareFirstAdmin } from '../../src/users/first-admin.ts'
import { openLockoutTable } from '../../src/users/lockout-table.ts'
import { createUserStore } from '../../src/users/store.ts'

const [what, path = '', lock = '', forMs] = process.argv.slice(2)

const print = (line: string) => process.stdout.write(`${line}\n`)
const open = () => openDatabase(path, { log: { warn: () => {} } })
const store = () =>
  createUserStore({ database: open(), normalise: createUsernameNormaliser([]), clock: systemClock })

switch (what) {
  case 'open':
    print(installationSecret(open()).toString('hex'))
    break
  case 'first-admin': {
    const admin = await prepareFirstAdmin({ store: store(), passwords: { hash: async () => '$fake' } })()
    print(admin?.password.reveal() ?? 'none')
    break
  }
  case 'hold': {
    const database = new Sqlite(path)
    database.exec(`BEGIN ${lock}`)
    print('held')
    process.stdin.resume().on('end', () => database.close())
    if (forMs !== undefined) setTimeout(() => database.exec('ROLLBACK'), Number(forMs))
    break
  }
  case 'journal': {
    open()
    const say = (_fields: object, message: string) => void print(message)
    const log = { warn: say, error: say }
    const table = openLockoutTable(path)
    const journal = createJournal({ table, clock: systemClock, boot: systemBoot, log })
    for (let n = 0; ; n++) {
      const key = `${process.pid}-${n}`
      const lock = { untilMs: systemClock.now() + 300_000, tier: 1 }
      const untilMs = systemBoot.nowMs() + 300_000
      journal.put(key, { what: 'record', kind: 'pair', record: { failures: [], lock } })
      journal.flush()
      print(`${key} ${untilMs}`)
    }
  }
  case 'write': {
    const users = store()
    for (let n = 0; ; n++) {
      const name = `user-${process.pid}-${n}`
      users.create({
        username: name,
        email: `${name}@corp.example`,
        groups: ['staff'],
        passwordHash: '$fake',
      })
      print(name)
    }
  }
}
