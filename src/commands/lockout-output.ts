import type { LockKind } from '../authentication/lockout.ts'
import type {
  PresentedLock,
  PresentedLockList,
  PresentedLockout,
  PresentedPerson,
  PresentedShown,
  PresentedStanding,
  PresentedUnlocked,
} from '../http/locks.ts'
import { formatTable } from './table.ts'
import { visible } from './terminal.ts'

/** What is counted together, in words. */
const KINDS: Readonly<Record<LockKind, string>> = {
  pair: 'account from this source',
  unfamiliar: 'account from sources it has never logged in from',
  familiar: 'account from its own sources',
  source: 'source',
  subnet: 'subnet',
  directory: 'account at its directory',
}

export function formatLockList({ locks, more }: PresentedLockList): string {
  if (locks.length === 0) return 'Nothing is locked.\n'
  return `${formatLocks(locks)}${more ? `These are the ${locks.length} longest: --most shows more.\n` : ''}`
}

function formatLocks(locks: readonly PresentedLock[]): string {
  const rows = locks.map(lock => [
    whose(lock),
    visible(lock.source ?? '-'),
    visible(lock.client ?? '-'),
    `${KINDS[lock.kind] ?? visible(lock.kind)}${lock.watched ? ' (only watched)' : ''}`,
    lock.until,
    `${lock.for_seconds} s`,
  ])
  return formatTable([['WHO', 'FROM', 'APP', 'LOCKED', 'UNTIL', 'FOR'], ...rows])
}

/** A lock on a source is everybody's; the one who came by last says little. */
function whose({ kind, user, user_hash, subject }: PresentedLock): string {
  if (kind === 'source' || kind === 'subnet') return 'everybody'
  const known = [user, subject].filter(part => part !== undefined)
  if (known.length > 0) return visible(known.join(', '))
  return user_hash === undefined ? 'not known since the restart' : `user_hash ${user_hash}`
}

export function formatShown({ user, lockout, locks }: PresentedShown): string {
  const lines = [
    ...(user ? [visible(user.name), ...personLines(user)] : []),
    ...(lockout ? standingLines(lockout).map(line => `  ${line}`) : []),
    ...(lockout ? [] : ['  how often it has failed is counted by source: --from ADDRESS shows it']),
  ]
  return `${lines.join('\n')}\n\n${locks.length === 0 ? 'No lock is known.\n' : formatLocks(locks)}`
}

export function formatUnlocked({ user, ended }: PresentedUnlocked): string {
  const about = user ? personLines(user).map(line => `${line}\n`) : []
  if (ended.length === 0)
    return `Nothing was locked. Failures counted so far are forgotten.\n${about.join('')}`
  return `Unlocked, what was locked:\n${formatLocks(ended)}${about.join('')}`
}

function personLines({ subjects, silent }: PresentedPerson): string[] {
  return [
    subjects.length === 0 ? '  nobody is found by this name' : `  is ${visible(subjects.join(' and '))}`,
    ...silent.map(({ backend, reason }) =>
      visible(
        `  ${backend} cannot say whom it finds, so only what is counted under the name itself is meant: ${reason}`,
      ),
    ),
  ]
}

/** One line per count that is not at zero, or one that says there is none. */
export function standingLines({ name, source, subjects }: PresentedLockout): string[] {
  const lines = [
    ...name.filter(counts).map(each => `name, ${describe(each)}`),
    ...source.filter(counts).map(describe),
    ...subjects.filter(counts).map(each => visible(`${each.subject}, ${describe(each)}`)),
  ]
  return lines.length === 0 ? ['nothing counted'] : lines
}

function counts({ failures, in_flight, locked_for_seconds }: PresentedStanding): boolean {
  return failures > 0 || in_flight > 0 || locked_for_seconds !== undefined
}

function describe(standing: PresentedStanding): string {
  const { key, failures, limit, in_flight, locked_for_seconds, watched } = standing
  const words = KINDS[key] ?? visible(key)
  const busy = in_flight > 0 ? `, ${in_flight} under way` : ''
  const only = watched ? ' (only watched)' : ''
  if (limit === 0) return `${words}: on the block list${only}`
  if (locked_for_seconds !== undefined) return `${words}: LOCKED for another ${locked_for_seconds} s${only}`
  return `${words}: ${failures} of ${limit} failures${busy}${only}`
}
