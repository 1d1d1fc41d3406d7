import { randomUUID } from 'node:crypto'
import type { Clock } from '../authentication/clock.ts'
import type { NormaliseUsername } from '../authentication/username.ts'
import { answering, type UserDatabase } from './database.ts'
import { type CheckedUser, checkNewUser, type NewUser, type StoredUser } from './user.ts'

/** Whom a name finds, and what is needed to check them. */
export interface Login {
  readonly user: StoredUser
  /** PHC string; undefined means that no password is set. */
  readonly passwordHash: string | undefined
  /** As what the name is theirs; both when somebody's username is their own address. */
  readonly isUsername: boolean
  readonly isEmail: boolean
}

export type Change =
  | { readonly ok: true; readonly user: StoredUser }
  /** A sentence for the operator, without a full stop. */
  | { readonly ok: false; readonly problem: string }

/** Local users in SQLite. Every method throws UnavailableError (phase `lookup`) when the database gives no answer. */
export interface UserStore {
  /** Whom this normalised name finds, as a username or as an e-mail address: never more than one person. */
  findLogin(name: string): Login | undefined
  findById(id: string): StoredUser | undefined
  /** For operators: by username or e-mail address as typed, else by id, as in `local:<id>` or bare. */
  find(typed: string): StoredUser | undefined
  /** Everybody, by username. */
  list(): readonly StoredUser[]
  create(user: NewUser): Change
  /** As `create`, but only if there has never been such a first user and there is nobody now; else undefined. */
  createFirst(user: NewUser): Change | undefined
  /** Would `createFirst` do something? */
  awaitsFirst(): boolean
  /** False when there is no such user. */
  setPasswordHash(id: string, hash: string): boolean
  /** Only if the stored hash is still `from`: a password changed meanwhile stays. */
  replacePasswordHash(id: string, from: string, to: string): boolean
  /** False when there is no such user. */
  setDisabled(id: string, disabled: boolean): boolean
  /** False when there is no such user. */
  remove(id: string): boolean
  count(): { readonly all: number; readonly withEmail: number }
  /** Reads something small. */
  probe(): void
}

export interface UserStoreParts {
  readonly database: UserDatabase
  /** The one normalisation of the daemon, so that what is stored is what logins look for. */
  readonly normalise: NormaliseUsername
  readonly clock: Clock
}

interface UserRow {
  readonly id: string
  readonly username: string
  readonly email: string | null
  readonly display_name: string | null
  readonly password_hash: string | null
  readonly disabled: 0 | 1
  readonly created_at: number
  readonly updated_at: number
  /** JSON array */
  readonly groups: string
}

interface LoginRow extends UserRow {
  readonly is_username: 0 | 1
  readonly is_email: 0 | 1
}

const USER_COLUMNS = `users.*, (
  SELECT json_group_array(name ORDER BY name) FROM user_groups WHERE user_id = users.id
) AS groups`

/** @throws UnavailableError */
export function createUserStore({ database, normalise, clock }: UserStoreParts): UserStore {
  const sql = answering(() => prepareStatements(database))

  const createNow = database.transaction((checked: CheckedUser): Change => {
    const { username, email, usernameKey, emailKey } = checked
    const conflict = conflictOf(usernameKey, 'username') ?? conflictOf(emailKey, 'email')
    if (conflict !== undefined) return { ok: false, problem: conflict }
    const id = randomUUID()
    const now = clock.wall()
    sql.insertUser.run({
      id,
      username,
      email: email ?? null,
      displayName: checked.displayName ?? null,
      passwordHash: checked.passwordHash,
      now,
    })
    sql.insertName.run(usernameKey, id, 1, usernameKey === emailKey ? 1 : 0)
    if (emailKey !== undefined && emailKey !== usernameKey) sql.insertName.run(emailKey, id, 0, 1)
    for (const group of checked.groups) sql.insertGroup.run(id, group)
    const row = sql.byId.get(id)
    if (row === undefined) throw new Error('the user just stored is not there')
    return { ok: true, user: toStoredUser(row) }
  })

  const createFirstNow = database.transaction((checked: CheckedUser): Change | undefined => {
    if (sql.awaitsFirst.get() !== 1) return undefined
    const change = createNow(checked)
    if (change.ok) sql.noteFirst.run(Buffer.from(change.user.id))
    return change
  })

  function conflictOf(name: string | undefined, wanted: 'username' | 'email'): string | undefined {
    const holder = name === undefined ? undefined : sql.byName.get(name)
    if (holder === undefined) return undefined
    if (wanted === 'username') {
      return holder.is_username === 1
        ? `the username is taken by "${holder.username}"`
        : `the username is the e-mail address of "${holder.username}"`
    }
    return holder.is_email === 1
      ? `the e-mail address is that of "${holder.username}"`
      : `the e-mail address is the username of "${holder.username}"`
  }

  function checked<R>(user: NewUser, store: (checked: CheckedUser) => R): R | Change {
    const answer = checkNewUser(user, normalise)
    return answer.ok ? answering(() => store(answer.user)) : answer
  }

  function find(typed: string): StoredUser | undefined {
    const name = normalise(typed)
    const row = name.ok ? sql.byName.get(name.username.text) : undefined
    return toStoredUserIfAny(row ?? sql.byId.get(typed.slice(typed.lastIndexOf(':') + 1)))
  }

  return {
    findLogin: name =>
      answering(() => {
        const row = sql.byName.get(name)
        return row && toLogin(row)
      }),
    findById: id => answering(() => toStoredUserIfAny(sql.byId.get(id))),
    find: typed => answering(() => find(typed)),
    list: () => answering(() => sql.all.all().map(toStoredUser)),
    create: user => checked(user, createNow.immediate),
    createFirst: user => checked(user, createFirstNow.immediate),
    awaitsFirst: () => answering(() => sql.awaitsFirst.get() === 1),
    setPasswordHash: (id, hash) =>
      answering(() => sql.setHash.run({ id, hash, now: clock.wall() }).changes === 1),
    replacePasswordHash: (id, from, to) =>
      answering(() => sql.replaceHash.run({ id, from, to }).changes === 1),
    setDisabled: (id, disabled) =>
      answering(
        () => sql.setDisabled.run({ id, disabled: disabled ? 1 : 0, now: clock.wall() }).changes === 1,
      ),
    remove: id => answering(() => sql.remove.run(id).changes === 1),
    count: () => answering(() => sql.count.get() ?? { all: 0, withEmail: 0 }),
    probe: () => {
      answering(() => sql.awaitsFirst.get())
    },
  }
}

function prepareStatements(database: UserDatabase) {
  return {
    byName: database.prepare<[string], LoginRow>(
      `SELECT ${USER_COLUMNS}, is_username, is_email FROM login_names JOIN users ON users.id = user_id WHERE login_names.name = ?`,
    ),
    byId: database.prepare<[string], UserRow>(`SELECT ${USER_COLUMNS} FROM users WHERE id = ?`),
    all: database.prepare<[], UserRow>(`SELECT ${USER_COLUMNS} FROM users ORDER BY username`),
    count: database.prepare<[], { all: number; withEmail: number }>(
      'SELECT count(*) AS "all", count(email) AS withEmail FROM users',
    ),
    insertUser: database.prepare(
      `INSERT INTO users (id, username, email, display_name, password_hash, created_at, updated_at)
       VALUES (@id, @username, @email, @displayName, @passwordHash, @now, @now)`,
    ),
    insertName: database.prepare(
      'INSERT INTO login_names (name, user_id, is_username, is_email) VALUES (?, ?, ?, ?)',
    ),
    insertGroup: database.prepare('INSERT INTO user_groups (user_id, name) VALUES (?, ?)'),
    awaitsFirst: database
      .prepare<[], number>(
        `SELECT NOT EXISTS (SELECT 1 FROM users) AND NOT EXISTS (SELECT 1 FROM installation WHERE name = 'first_admin')`,
      )
      .pluck(),
    noteFirst: database.prepare("INSERT INTO installation (name, value) VALUES ('first_admin', ?)"),
    setHash: database.prepare('UPDATE users SET password_hash = @hash, updated_at = @now WHERE id = @id'),
    replaceHash: database.prepare(
      'UPDATE users SET password_hash = @to WHERE id = @id AND password_hash = @from',
    ),
    setDisabled: database.prepare('UPDATE users SET disabled = @disabled, updated_at = @now WHERE id = @id'),
    remove: database.prepare('DELETE FROM users WHERE id = ?'),
  }
}

function toLogin(row: LoginRow): Login {
  return {
    user: toStoredUser(row),
    passwordHash: row.password_hash ?? undefined,
    isUsername: row.is_username === 1,
    isEmail: row.is_email === 1,
  }
}

function toStoredUserIfAny(row: UserRow | undefined): StoredUser | undefined {
  return row && toStoredUser(row)
}

function toStoredUser(row: UserRow): StoredUser {
  return {
    id: row.id,
    username: row.username,
    ...(row.email !== null && { email: row.email }),
    ...(row.display_name !== null && { displayName: row.display_name }),
    groups: JSON.parse(row.groups),
    disabled: row.disabled === 1,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }
}
