/**
 * Very many logins, most of them with wrong passwords, at a directory and a network that do everything wrong at random. Not
 * one wrong password may be accepted, and no right one be called wrong.
 *
 *   node test/faults/campaign.ts --attempts 1000000 [--seed 12345]
 *
 * It ends with one line of JSON, and with exit code 1 if anything was not as it must be. The same seed gives the same faults,
 * though not the same order of events.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { Backend } from '../../src/authentication/backend.ts'
import type { Clock } from '../../src/authentication/clock.ts'
import type { Log } from '../../src/authentication/log.ts'
import { Secret } from '../../src/authentication/secret.ts'
import { ldapPlugin } from '../../src/backends/ldap/index.ts'
import { ldapOptions, ldapServices, tlsOptions } from '../backends/ldap/ldap-login.ts'
import { createCertificateAuthority } from '../support/certificate-authority.ts'
import { type Chance, createChance } from '../support/chance.ts'
import { type FaultyDirectory, passwordOf, SERVICE, startFaultyDirectory } from './faulty-directory.ts'

export interface Campaign {
  readonly seed: number
  /** Attempts during which something went wrong on the wire. */
  readonly faulted: number
  readonly attempts: number
  readonly wrongAccepted: number
  readonly rightCalledWrong: number
  /** Outcomes that an attempt like this can't have. */
  readonly impossible: number
  /** Log lines with a password in them. */
  readonly leaked: number
  readonly unhandled: number
  readonly outcomes: Readonly<Record<string, number>>
  readonly injected: Readonly<Record<string, number>>
  readonly seconds: number
  readonly rssMiB: number
}

const CANARY = 'canary-f00d'
const OPERATION_MS = 200
/** Logins at a time at each of the directories that speak in clear, and at the one that speaks TLS, which costs more. */
const PLACES = { clear: 20, tls: 2 }
const CLEAR_DIRECTORIES = 3
/** So much of the time of the backend's own clock passes in one second: the brakes on its dials would make this take days. */
const HASTE = 60
const RIGHT = 0.15

export async function runCampaign(target: number, seed: number): Promise<Campaign> {
  const chance = createChance(seed)
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-campaign-'))
  const counts = {
    faulted: 0,
    attempts: 0,
    wrongAccepted: 0,
    rightCalledWrong: 0,
    impossible: 0,
    leaked: 0,
    unhandled: 0,
  }
  const outcomes: Record<string, number> = {}
  const touched = new Set<string>()
  const onUnhandled = (error: unknown) => {
    counts.unhandled++
    process.stderr.write(`unhandled: ${error instanceof Error ? error.stack : String(error)}\n`)
  }
  process.on('unhandledRejection', onUnhandled).on('uncaughtException', onUnhandled)
  const log = listening(() => counts.leaked++)
  const startedAt = performance.now()
  const opened: { directory: FaultyDirectory; backend: Backend; places: number }[] = []

  async function open(tls: boolean): Promise<void> {
    const authority = tls ? await createCertificateAuthority(folder) : undefined
    const certificate = await authority?.issue()
    const directory = await startFaultyDirectory({
      chance: createChance(chance.below(2 ** 32)),
      clientTimeoutMs: OPERATION_MS,
      onFault: uid => touched.add(uid),
      ...(certificate && { certificate }),
    })
    const options = ldapOptions({
      urls: [`${tls ? 'ldaps' : 'ldap'}://localhost:${directory.port}`],
      insecure: !tls,
      ...(authority && { tls: tlsOptions({ ca_file: authority.caFile }) }),
      bind: { method: 'simple', dn: SERVICE.dn, password: new Secret(SERVICE.password) },
      base_dn: 'dc=corp',
      connect_timeout: 1_000,
      operation_timeout: OPERATION_MS,
      pool: { ...ldapOptions({ urls: [] }).pool, search: 16, bind: 64 },
    })
    const services = ldapServices(log, hastyClock, 2_000)
    const backend = await ldapPlugin.create(options, services)
    opened.push({ directory, backend, places: tls ? PLACES.tls : PLACES.clear })
  }

  async function attempt(backend: Backend, uid: string, luck: Chance): Promise<void> {
    touched.delete(uid)
    const right = luck.happens(RIGHT)
    const { outcome } = await backend.authenticate({
      username: { text: uid, typed: uid, user: uid },
      password: new Secret(right ? passwordOf(uid) : `${CANARY}-${luck.below(1e9)}`),
      signal: AbortSignal.timeout(2_000),
      log,
      mayVerify: async () => true,
    })
    counts.attempts++
    const faulted = touched.delete(uid)
    if (faulted) counts.faulted++
    const key = `${right ? 'right' : 'wrong'}: ${outcome}`
    outcomes[key] = (outcomes[key] ?? 0) + 1
    if (!right && outcome === 'accept') counts.wrongAccepted++
    if (right && outcome === 'wrong_password') counts.rightCalledWrong++
    if (!['accept', 'wrong_password', 'unavailable'].includes(outcome)) counts.impossible++
    // Shed by the breaker: there is nothing to be learned from asking at once again.
    if (outcome === 'unavailable' && !faulted) await pause(5)
  }

  for (let count = 0; count < CLEAR_DIRECTORIES; count++) await open(false)
  await open(true)
  let people = 0
  await Promise.all(
    opened.flatMap(({ backend, places }) =>
      Array.from({ length: places }, async () => {
        const uid = `u${++people}`
        const luck = createChance(chance.below(2 ** 32))
        while (counts.faulted < target) await attempt(backend, uid, luck)
      }),
    ),
  )
  const injected: Record<string, number> = {}
  for (const { directory, backend } of opened) {
    await backend.close()
    directory.close()
    for (const [kind, count] of directory.injected) injected[kind] = (injected[kind] ?? 0) + count
  }
  // What was left hanging shows now.
  await pause(OPERATION_MS * 3)
  process.off('unhandledRejection', onUnhandled).off('uncaughtException', onUnhandled)
  rmSync(folder, { recursive: true, force: true })
  const seconds = Math.round((performance.now() - startedAt) / 100) / 10
  const rssMiB = Math.round(process.memoryUsage.rss() / 1024 ** 2)
  return { seed, ...counts, outcomes, injected, seconds, rssMiB }
}

const hastyClock: Clock = { now: () => performance.now() * HASTE, wall: () => Date.now() }

/** A log that is only looked at for what must not be in it. */
function listening(onLeak: () => void): Log {
  const hear = (fields: object, message: string) => {
    const text = JSON.stringify(fields) + message
    if (text.includes(CANARY) || text.includes('right-u') || text.includes(SERVICE.password)) onLeak()
  }
  const log: Log = { debug: hear, info: hear, warn: hear, error: hear, fatal: hear, child: () => log }
  return log
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { attempts: { type: 'string' }, seed: { type: 'string' } } })
  const seed = Number(values.seed ?? Date.now() % 2 ** 32)
  process.stderr.write(`seed ${seed}\n`)
  const result = await runCampaign(Number(values.attempts ?? 100_000), seed)
  process.stdout.write(`${JSON.stringify(result)}\n`)
  const { wrongAccepted, rightCalledWrong, impossible, leaked, unhandled } = result
  process.exitCode = wrongAccepted + rightCalledWrong + impossible + leaked + unhandled > 0 ? 1 : 0
}
