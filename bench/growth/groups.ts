/** Groups a user is in: the first login, which has to learn what those groups are in, and the ones after it. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { corpGroupsDn, corpPeopleDn } from '../../test/support/corp.ts'
import { runSlapd, type Slapd } from '../../test/support/slapd.ts'
import { type BenchDaemon, startDaemon } from '../daemon.ts'
import { cpuSeconds } from '../usage.ts'
import { groundLdif, passwordOf, personLdif, plainBackend } from './directory.ts'
import { addressOf } from './load.ts'
import { count, type Figure, type Row, type Scope } from './row.ts'

/** Logs in before anything is measured, so that connections are open and the code is compiled. */
const NOBODY = 'nogroups'

export async function groups(scope: Scope): Promise<readonly Row[]> {
  const sizes = scope.short ? [1, 500] : [1, 10, 100, 1_000, 2_000]
  const ldif = join(scope.folder, 'groups.ldif')
  await writeFile(ldif, toLdif(sizes))
  scope.say('filling memberOf')
  const slapd = await runSlapd({
    directory: join(scope.folder, 'slapd'),
    ldif,
    logs: 'none',
    maxSize: 2 ** 28,
  })
  try {
    const rows: Row[] = []
    for (const size of sizes) {
      scope.say(`${count(size)} groups`)
      rows.push({
        question: 'Groups of a user',
        size: count(size),
        figures: await logins(scope, slapd, size),
      })
    }
    return rows
  } finally {
    await slapd.stop('SIGKILL')
  }
}

async function logins(scope: Scope, slapd: Slapd, size: number): Promise<readonly Figure[]> {
  // What is known of groups is kept for a moment only, so that there are many first logins to take the median of.
  const first = await withDaemon(scope, slapd, `first-${size}`, '1ms', daemon =>
    each(daemon, size, scope.short ? 5 : 30),
  )
  const following = await withDaemon(scope, slapd, `following-${size}`, '5m', async daemon => {
    await settle(daemon, size)
    return each(daemon, size, scope.short ? 20 : 200)
  })
  return [
    { name: 'first login', value: first.ms, unit: 'ms' },
    { name: 'CPU of it', value: first.cpuMs, unit: 'ms' },
    { name: 'following ones', value: following.ms, unit: 'ms' },
    { name: 'CPU of each', value: following.cpuMs, unit: 'ms' },
  ]
}

async function withDaemon<T>(
  scope: Scope,
  slapd: Slapd,
  name: string,
  cache: string,
  work: (daemon: BenchDaemon) => Promise<T>,
): Promise<T> {
  const backend = plainBackend(slapd, { groups: { cache } })
  const daemon = await startDaemon({ folder: join(scope.folder, name), backends: [backend] })
  try {
    for (let times = 0; times < (scope.short ? 20 : 300); times++) await login(daemon, NOBODY, 0)
    return await work(daemon)
  } finally {
    await daemon.stop()
  }
}

/** Each login learns of a few groups what they are in, until all is known. Not all of it is: twenty tell. */
async function settle(daemon: BenchDaemon, size: number): Promise<void> {
  for (let times = 0; times < 20; times++) await login(daemon, uidOf(size), size)
}

async function each(daemon: BenchDaemon, size: number, times: number) {
  const took: number[] = []
  const before = cpuSeconds([daemon.pid])
  for (let index = 0; index < times; index++) {
    const began = performance.now()
    await login(daemon, uidOf(size), size)
    took.push(performance.now() - began)
  }
  const cpuMs = ((cpuSeconds([daemon.pid]) - before) * 1_000) / times
  return { ms: took.sort((a, b) => a - b)[Math.floor(times / 2)] ?? 0, cpuMs }
}

async function login(daemon: BenchDaemon, username: string, expected: number): Promise<void> {
  const reply = await fetch(`${daemon.url}/authenticate`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-forwarded-for': addressOf(1) },
    body: JSON.stringify({ username, password: passwordOf(username) }),
  })
  const text = await reply.text()
  if (reply.status !== 200) throw new Error(`${username}: ${reply.status} ${text}`)
  const { groups } = JSON.parse(text).user
  if (groups.length !== expected)
    throw new Error(`${username} is in ${groups.length} groups, not in ${expected}`)
}

function uidOf(size: number): string {
  return `in${size}`
}

function toLdif(sizes: readonly number[]): string {
  const members = (index: number) => sizes.filter(size => index < size)
  const all = Array.from({ length: Math.max(...sizes) }, (_, index) => index)
  return [
    groundLdif(),
    personLdif(NOBODY),
    ...sizes.map(size => personLdif(uidOf(size))),
    ...all.map(
      index =>
        `dn: cn=group${index},${corpGroupsDn}\nobjectClass: groupOfNames\ncn: group${index}\n` +
        `${members(index)
          .map(size => `member: uid=${uidOf(size)},${corpPeopleDn}\n`)
          .join('')}`,
    ),
  ].join('\n')
}
