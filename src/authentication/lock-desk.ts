/** Operators see locks, and take them back (lockout.md, Rules). Every unlock is written down, also one that ended nothing. */
import { type Audit, type AuditNote, NOT_AUDITED, noAudit } from './audit.ts'
import type { Clock } from './clock.ts'
import type { FindSubjects } from './find-subjects.ts'
import type { LockEntry, Lockout, LockoutDesk, UnlockRequest } from './lockout.ts'
import {
  type InvalidName,
  type Lock,
  type LockDesk,
  MOST_LOCKS,
  type Person,
  type UnlockOrder,
} from './locks.ts'
import type { Log } from './log.ts'
import { UnavailableError } from './outcome.ts'
import { type LockoutState, standingsOf } from './standings.ts'
import type { HashUser } from './user-hash.ts'
import type { NormaliseUsername } from './username.ts'

export interface LockDeskParts {
  readonly desk: LockoutDesk
  readonly inspect: Lockout['inspect']
  readonly normalise: NormaliseUsername
  readonly findSubjects: FindSubjects
  readonly hashUser: HashUser
  readonly clock: Clock
  readonly log: Pick<Log, 'info' | 'warn'>
  /** Where each unlock is written down as well; while that cannot be and must be, nothing is unlocked. */
  readonly audit?: Audit
  /** Called once per unlock that went through, with how many locks it ended; it must not throw. */
  readonly onUnlock: (ended: number) => void
}

type Identified = { readonly ok: true; readonly person?: Person }

/** The most ended locks that one audit event lists. */
const MOST_WRITTEN = 20

export function createLockDesk(parts: LockDeskParts): LockDesk {
  const { desk, inspect, normalise, findSubjects, hashUser, clock, log, audit = noAudit, onUnlock } = parts

  async function identify(user: string | undefined): Promise<Identified | InvalidName> {
    if (user === undefined) return { ok: true }
    const name = normalise(user)
    if (!name.ok) return name
    return { ok: true, person: { name: name.username.text, ...(await findSubjects(name.username)) } }
  }

  function describeAll(entries: readonly LockEntry[], person?: Person): Lock[] {
    // Whoever comes by while the name is locked is not looked up; that it is somebody's, the lock on the person tells.
    const somebodys = new Set(entries.flatMap(({ note }) => (note?.subject !== undefined ? [note.name] : [])))
    return entries.map(entry => describe(entry, name => somebodys.has(name) || isSomebody(person, name)))
  }

  function describe(
    { kind, note, tier, lockedForMs, watched }: LockEntry,
    isKnown: (name: string) => boolean,
  ): Lock {
    return {
      kind,
      ...(note?.name !== undefined && {
        userHash: hashUser(note.name),
        ...(isKnown(note.name) && { user: note.name }),
      }),
      ...(note?.subject !== undefined && { subject: note.subject }),
      ...(note && { address: note.address, caller: note.caller }),
      tier,
      forMs: lockedForMs,
      until: clock.wall() + lockedForMs,
      ...(watched && { watched }),
    }
  }

  function write(
    order: UnlockOrder,
    person: Person | undefined,
    came: { readonly ended: readonly Lock[] } | { readonly failed: unknown },
  ): AuditNote {
    const { requestId, operator, subject, address } = order
    const fields = {
      event: 'authn_login_unlock',
      request_id: requestId,
      ...(operator !== undefined && { operator_claimed: operator }),
      asked: {
        ...(person && {
          user_hash: hashUser(person.name),
          ...(isSomebody(person, person.name) && { user: person.name }),
        }),
        ...(subject !== undefined && { subject }),
        ...(address !== undefined && { source: address }),
      },
      ...(person && { subjects: person.subjects }),
      ...(person && person.silent.length > 0 && { silent: person.silent.map(({ backend }) => backend) }),
    }
    if ('failed' in came) {
      const { failed } = came
      const note = { ...fields, reason: failed instanceof Error ? failed.message : String(failed) }
      log.warn(note, 'an unlock failed')
      return note
    }
    const { ended } = came
    const locks = ended.slice(0, MOST_WRITTEN).map(({ kind, user, userHash, subject, address, caller }) => ({
      kind,
      ...(userHash !== undefined && { user_hash: userHash }),
      ...(user !== undefined && { user }),
      ...(subject !== undefined && { subject }),
      ...(address !== undefined && { source: address, client: caller }),
    }))
    const note = { ...fields, ended: ended.length, locks }
    log.info(note, ended.length > 0 ? 'unlocked by an operator' : 'an operator unlocked what was not locked')
    return note
  }

  return {
    async list(most) {
      const entries = await desk.list(most + 1)
      return {
        locks: describeAll(entries).slice(0, most),
        more: entries.length > most,
      }
    },

    async show({ user, address }) {
      if (user === undefined && address === undefined) throw new TypeError('show whom?')
      const who = await identify(user)
      if (!who.ok) return who
      const { person } = who
      const [entries, standings] = await Promise.all([
        desk.list(MOST_LOCKS),
        address === undefined ? undefined : standingsAt(address, person),
      ])
      return {
        ok: true,
        ...(person && { person }),
        ...(standings && { standings }),
        locks: describeAll(
          entries.filter(entry => concerns(entry, address, person)),
          person,
        ),
      }
    },

    async unlock(order) {
      const { user, subject, address } = order
      if (!audit.admits()) throw notAudited()
      const who = await identify(user)
      if (!who.ok) return who
      const { person } = who
      const request = requestFor(person, subject, address)
      let entries: readonly LockEntry[]
      try {
        entries = await desk.unlock(await withOtherNames(request))
      } catch (error) {
        await audit.note(write(order, person, { failed: error }))
        throw error
      }
      const ended = describeAll(entries, person)
      const note = write(order, person, { ended })
      onUnlock(ended.length)
      if (!(await audit.note(note))) throw notAudited()
      return { ok: true, ...(person && { person }), ended }
    },
  }

  /** From one source an account is unlocked key by key, so also by the names that its locks there are known to have come by. */
  async function withOtherNames(request: UnlockRequest): Promise<UnlockRequest> {
    if (!('subjects' in request) || request.subjects.length === 0 || request.address === undefined)
      return request
    const { subjects } = request
    const names = new Set(request.names)
    for (const { note } of await desk.list(MOST_LOCKS)) {
      if (note?.name !== undefined && note.subject !== undefined && subjects.includes(note.subject)) {
        names.add(note.name)
      }
    }
    return { ...request, names: [...names] }
  }

  async function standingsAt(address: string, person: Person | undefined): Promise<LockoutState> {
    if (person) return standingsOf(inspect, { name: person.name, address }, person.subjects)
    // Without a name there is nothing to say of one.
    const { source } = await inspect({ name: '', address })
    return { name: [], source, subjects: [] }
  }
}

function notAudited(): UnavailableError {
  return new UnavailableError(NOT_AUDITED, 'admission')
}

/** Whether some backend knows this name: what is nobody's stays a hash. */
function isSomebody(person: Person | undefined, name: string): boolean {
  return person !== undefined && person.name === name && person.subjects.length > 0
}

function requestFor(
  person: Person | undefined,
  subject: string | undefined,
  address: string | undefined,
): UnlockRequest {
  const names = person ? [person.name] : []
  const subjects = [...new Set([...(person?.subjects ?? []), ...(subject === undefined ? [] : [subject])])]
  if (names.length > 0 || subjects.length > 0) {
    return { names, subjects, ...(address !== undefined && { address }) }
  }
  if (address === undefined) throw new TypeError('unlock whom?')
  return { address }
}

/** What is known of a lock is who came by last. */
function concerns({ kind, note }: LockEntry, address: string | undefined, person?: Person): boolean {
  if (note === undefined) return false
  const isHere = address === undefined || note.address === address
  if (person === undefined) return isHere
  const isTheirs =
    note.name === person.name || (note.subject !== undefined && person.subjects.includes(note.subject))
  switch (kind) {
    case 'unfamiliar':
    case 'familiar':
    case 'directory':
      return isTheirs
    case 'pair':
      return isTheirs && isHere
    case 'source':
    case 'subnet':
      // Of whoever comes from there.
      return address === undefined ? isTheirs : isHere
  }
}
