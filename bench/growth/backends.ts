/** Backends in the chain: what each costs that is asked before the one that knows the user. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { corpPeopleDn } from '../../test/support/corp.ts'
import { runSlapd, type Slapd } from '../../test/support/slapd.ts'
import { startDaemon } from '../daemon.ts'
import { loginRequest } from '../login-request.ts'
import { groundLdif, passwordOf, personLdif, plainBackend } from './directory.ts'
import { addressOf, load } from './load.ts'
import { count, type Figure, type Row, type Scope } from './row.ts'

const MOST = 8
const PEOPLE_EACH = 200
const CONNECTIONS = 16

export async function backends(scope: Scope): Promise<readonly Row[]> {
  const ldif = join(scope.folder, 'units.ldif')
  await writeFile(ldif, toLdif())
  const slapd = await runSlapd({ directory: join(scope.folder, 'slapd'), ldif, logs: 'none' })
  try {
    const rows: Row[] = []
    for (const size of scope.short ? [1, MOST] : [1, 2, 4, MOST]) {
      scope.say(`${size} backends`)
      const chain = Array.from({ length: size }, (_, index) => unitBackend(slapd, MOST - size + index))
      rows.push({ question: 'Backends in the chain', size: count(size), figures: await asked(scope, chain) })
    }
    scope.say('email and local before one directory')
    const local = [
      { id: 'email', type: 'email' },
      { id: 'local', type: 'local' },
    ]
    const figures = await asked(scope, [...local, unitBackend(slapd, MOST - 1)])
    rows.push({ question: 'Backends in the chain', size: '`email`, `local` and 1', figures })
    return rows
  } finally {
    await slapd.stop('SIGKILL')
  }
}

/** Everybody who logs in is in the last one. */
async function asked(scope: Scope, chain: readonly object[]): Promise<readonly Figure[]> {
  const folder = join(scope.folder, `chain-${chain.length}-${performance.now()}`)
  const daemon = await startDaemon({ folder, backends: chain })
  try {
    const requests = Array.from({ length: PEOPLE_EACH }, (_, index) => {
      const uid = uidOf(MOST - 1, index)
      return loginRequest(uid, passwordOf(uid), addressOf(index))
    })
    const { address, pid } = daemon
    const [warmUp, seconds] = scope.short ? [0.5, 0.7] : [4, 8]
    const { clients } = scope
    const connections = CONNECTIONS
    const measured = await load({ clients, folder, address, pid, connections, warmUp, seconds, requests }, [
      '200',
    ])
    return [
      { name: 'CPU of the daemon a login', value: measured.cpuMicros, unit: 'µs' },
      { name: 'logins', value: measured.replies / measured.seconds, unit: '1/s' },
      { name: 'p50', value: measured.p50 / 1000, unit: 'ms' },
    ]
  } finally {
    await daemon.stop()
  }
}

function unitBackend(slapd: Slapd, unit: number): object {
  return plainBackend(slapd, { id: `unit${unit}`, base_dn: unitDn(unit) })
}

function unitDn(unit: number): string {
  return `ou=unit${unit},${corpPeopleDn}`
}

function uidOf(unit: number, index: number): string {
  return `user${unit}x${index}`
}

function toLdif(): string {
  const units = Array.from({ length: MOST }, (_, unit) => unit)
  const people = Array.from({ length: PEOPLE_EACH }, (_, index) => index)
  return [
    groundLdif(),
    ...units.flatMap(unit => [
      `dn: ${unitDn(unit)}\nobjectClass: organizationalUnit\nou: unit${unit}\n`,
      ...people.map(index => personLdif(uidOf(unit, index), unitDn(unit))),
    ]),
  ].join('\n')
}
