/**
 * Another process at the same database: `node other-process.ts <what> <path>`.
 * - open: opens it, as a daemon that starts, and prints its installation secret
 * - first-admin: also makes the first admin, and prints the password or "none"
 * - hold immediate|exclusive [ms]: keeps SQLite's lock until its stdin ends or for that long, prints "held"
 * - write: adds users until it is killed, and prints each name once it is stored
 */
import Sqlite from 'better-sqlite3'
import { systemClock } from '../../src/authentication/clock.ts'
import { createUsernameNormaliser } from '../../src/authentication/username.ts'
import { installationSecret, openDatabase } from '../../src/users/database.ts'
import { ensureFirstAdmin } from '../../src/users/first-admin.ts'
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
    const admin = await ensureFirstAdmin({ store: store(), passwords: { hash: async () => '$fake' } })
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
