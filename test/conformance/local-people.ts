/** Local users of a house: made as an operator makes them, and looked at in the file that they are in. */
import Sqlite from 'better-sqlite3'
import type { House } from './house.ts'

export const PASSWORD = 'correct horse battery staple'

/** `gatehouse user add NAME …`, with the address NAME@corp.example; the id. */
export async function addUser(
  house: House,
  name: string,
  password = PASSWORD,
  args: readonly string[] = [],
): Promise<string> {
  const email = ['--email', `${name}@corp.example`]
  const all = ['user', 'add', name, ...email, '--json', '--password-stdin', ...args]
  const { code, stdout, stderr } = await house.command(all, `${password}\n`)
  if (code !== 0) throw new Error(stderr)
  return String(JSON.parse(stdout).id)
}

/** `gatehouse user disable NAME`. */
export async function disable(house: House, name: string): Promise<void> {
  const { code, stderr } = await house.command(['user', 'disable', name])
  if (code !== 0) throw new Error(stderr)
}

/** Everything that is stored about somebody. */
export function storedUser({ folder }: House, name: string): Record<string, unknown> {
  const database = new Sqlite(`${folder}/gatehouse.db`, { readonly: true })
  try {
    const row = database.prepare('SELECT * FROM users WHERE username = ?').get(name)
    return row as Record<string, unknown>
  } finally {
    database.close()
  }
}

/** As an older release, an import or a mistake left it. */
export function storeHash({ folder }: House, name: string, hash: string | null): void {
  const database = new Sqlite(`${folder}/gatehouse.db`)
  try {
    const { changes } = database
      .prepare('UPDATE users SET password_hash = ? WHERE username = ?')
      .run(hash, name)
    if (changes !== 1) throw new Error(`there is no ${name}`)
  } finally {
    database.close()
  }
}
