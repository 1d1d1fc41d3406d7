/** What the tests of the lockout share: a house with the people of fixtures/ldap/corp.ldif, and a desk in time that a test moves. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Test } from 'tap'
import { createPasswordTag } from '../../src/authentication/password-tag.ts'
import type { LockoutSettings } from '../../src/lockout/limits.ts'
import { type Desk, openDesk } from '../attack/desk.ts'
import { ALICE, BOB, MALLORY } from '../attack/people.ts'
import { createChance } from '../support/chance.ts'
import { createFreshGuesses } from '../support/fresh-guesses.ts'
import type { LogLine } from '../support/log-recorder.ts'
import { corpBackend, type Slapd } from '../support/slapd.ts'
import { type House, type HouseConfig, openHouse, type Reply, SECRET } from './house.ts'

/** No two of them in one /24. */
export const HERE = '192.0.2.1'
export const ELSEWHERE = '198.51.100.7'
export const THIRD_PLACE = '203.0.113.9'

/** The n-th of many addresses, no two in one subnet. */
export function place(n: number): string {
  return `10.${n >> 8}.${n & 255}.1`
}

/** What is never reached, so that one other limit is seen alone. */
const NEVER = 10_000
const WIDE = {
  max_attempts: NEVER,
  unfamiliar: { max_attempts: NEVER },
  familiar: { max_attempts: NEVER },
  source: { max_attempts: NEVER, accounts: NEVER },
  subnet: { max_attempts: NEVER },
} as const

/** `lockout` with so many failures of one account from one source, and no other limit. */
export const byPair = (max_attempts = 3) => ({ ...WIDE, max_attempts })
/** The same of one source, whatever the account. */
export const bySource = (max_attempts = 3) => ({ ...WIDE, source: { max_attempts, accounts: NEVER } })
/** The same of one account from sources that it never logged in from. */
export const byAccount = (max_attempts = 3) => ({ ...WIDE, unfamiliar: { max_attempts } })

/** A house whose only backend is this slapd, which counts what is verified. */
export function openCorp(t: Test, slapd: Slapd, config: Partial<HouseConfig> = {}): Promise<House> {
  return openHouse(t, { backends: [corpBackend(slapd)], ...config })
}

/** `200`, `401 invalid_credentials`, `429 locked_out`. */
export function told({ status, code }: Reply): string {
  return status === 200 ? '200' : `${status} ${code}`
}

export const WRONG = '401 invalid_credentials'
export const LOCKED = '429 locked_out'

/** Asks again and again, until it is answered otherwise than by 429 or 503; for ten seconds. */
export async function untilLet(ask: () => Promise<Reply>): Promise<Reply> {
  const giveUp = performance.now() + 10_000
  for (;;) {
    const reply = await ask()
    if ((reply.status !== 429 && reply.status !== 503) || performance.now() > giveUp) return reply
    await pause(50)
  }
}

/** The first line of the log that fits, also one that is still to come within ten seconds. */
export async function inLog(house: House, fits: (line: LogLine) => boolean): Promise<LogLine | undefined> {
  const giveUp = performance.now() + 10_000
  for (;;) {
    const line = house.log.lines.find(fits)
    if (line !== undefined || performance.now() > giveUp) return line
    await pause(20)
  }
}

/** How many binds that say who somebody is were sent while this was done; the service account's are left out. */
export async function bindsDuring(slapd: Slapd, work: () => Promise<unknown>): Promise<number> {
  const count = async () => (await slapd.binds()).filter(({ dn }) => dn !== slapd.serviceDn).length
  const before = await count()
  await work()
  return (await count()) - before
}

/** What an operator asks the daemon: `list`, `show` and `unlock` of the admin listener, as the commands do, without their start. */
async function operate(house: House, what: string, body: object): Promise<Answer> {
  const token = readFileSync(join(house.folder, 'gatehouse.db.admin-token'), 'utf8').trim()
  const response = await fetch(`${house.app.adminUrl}/admin/lockout/${what}`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      connection: 'close',
    },
    body: JSON.stringify(body),
  })
  if (response.status !== 200) throw new Error(`${what}: ${response.status} ${await response.text()}`)
  return (await response.json()) as Answer
}

interface Answer {
  readonly locks: readonly ShownLock[]
  readonly ended: readonly ShownLock[]
  readonly lockout: Readonly<Record<'name' | 'source' | 'subjects', readonly Count[]>>
}

interface Count {
  readonly key: string
  readonly failures: number
}

export interface ShownLock {
  readonly kind: string
  readonly user?: string
  readonly subject?: string
  readonly source?: string
}

export async function listLocks(house: House): Promise<readonly ShownLock[]> {
  return (await operate(house, 'list', {})).locks
}

/** The locks that it ended. */
export async function unlock(
  house: House,
  whom: { readonly user?: string; readonly address?: string },
): Promise<readonly ShownLock[]> {
  return (await operate(house, 'unlock', whom)).ended
}

/** The failures that count, by the kind of the key; the highest of those of one kind. */
export async function countsOf(
  house: House,
  user: string,
  address = HERE,
): Promise<Readonly<Record<string, number>>> {
  const { lockout } = await operate(house, 'show', { user, address })
  const counts: Record<string, number> = {}
  for (const { key, failures } of [...lockout.name, ...lockout.source, ...lockout.subjects]) {
    counts[key] = Math.max(counts[key] ?? 0, failures)
  }
  return counts
}

/** The use case in one process, in front of a simulated directory, in time that a test moves. */
export interface ClockDesk extends Omit<Desk, 'guess' | 'twins' | 'memory'> {
  /** With wrong passwords that nobody tried before, one after another: the verdicts. */
  guess(name: string, times: number, address?: string): Promise<readonly string[]>
}

export { ALICE, BOB, MALLORY }

export function openClockDesk(
  settings: Partial<LockoutSettings> = {},
  { bytes }: { bytes?: number } = {},
): ClockDesk {
  const passwordTag = createPasswordTag(Buffer.from(SECRET))
  const freshGuess = createFreshGuesses(SECRET)
  const people = [ALICE, BOB, MALLORY]
  const chance = createChance(1)
  const desk = openDesk(people, { chance, settings, passwordTag, ...(bytes !== undefined && { bytes }) })
  return {
    ...desk,
    async guess(name, times, address = HERE) {
      const verdicts: string[] = []
      for (let i = 0; i < times; i++) verdicts.push(await desk.login(name, freshGuess(), address))
      return verdicts
    },
  }
}

/** A local user, made as an operator makes one. */
export async function addUser(house: House, name: string, password: string, ...options: string[]) {
  const added = await house.command(['user', 'add', name, '--password-stdin', ...options], password)
  if (added.code !== 0) throw new Error(added.stderr)
}
