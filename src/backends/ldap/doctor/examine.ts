/**
 * Everything that a login against this directory needs, looked at live: each server (DNS → TCP → TLS → service bind → root DSE),
 * then, on the first that lets us in, the base, one person with their groups, and the directory's own lockout policy. Nothing
 * is written, no user's password is sent, and a service account that was refused is not tried again.
 */
import type { BackendServices, Finding } from '../../../plugin.ts'
import { readCertificates, readClientCertificate } from '../certificates.ts'
import type { LdapOptions } from '../options.ts'
import { discoverServers } from '../servers/discover.ts'
import { createLookup, createResolver } from '../servers/lookup.ts'
import { readingCompressed } from '../servers/srv-query.ts'
import { readSettings, type Settings } from '../settings.ts'
import { canonicalDn, parseDn } from '../syntax/dn.ts'
import type { Connection } from '../wire/connection.ts'
import { orAbort } from '../wire/deadline.ts'
import type { Endpoint } from '../wire/endpoint.ts'
import { DirectoryFailure, reasonOf } from '../wire/failure.ts'
import { examineBase } from './base.ts'
import { fail, ok } from './finding.ts'
import { examineLockoutPolicy, type OwnLockout } from './lockout-policy.ts'
import { examinePerson } from './person.ts'
import { type ReachOptions, reach } from './reach.ts'
import { type RootDse, readRootDse } from './root-dse.ts'
import { bindService } from './service-bind.ts'
import { examineServiceRights } from './service-rights.ts'
import { createSession, type Session } from './session.ts'

export interface ExamineAbout {
  readonly user?: string
  readonly lockout: OwnLockout
  readonly signal: AbortSignal
}

export async function* examine(
  options: LdapOptions,
  services: BackendServices,
  about: ExamineAbout,
): AsyncGenerator<Finding> {
  const files = await readFiles(options)
  if ('status' in files) {
    yield files
    return
  }
  const settings = readSettings(services.id, options)
  const lookup = createLookup(options.dns_servers)
  const endpoints = yield* listServers(settings, about.signal)
  const reachOptions: ReachOptions = {
    ...files,
    minVersion: options.tls.min_version,
    servername: options.tls.servername,
    connectTimeoutMs: options.connect_timeout,
    operationTimeoutMs: options.operation_timeout,
    lookup,
    wallMs: services.clock.wall(),
  }

  let refusedAt: string | undefined
  let looked = false
  for (const endpoint of endpoints) {
    if (about.signal.aborted) return
    const connection = yield* reach(endpoint, reachOptions, about.signal)
    if (connection === undefined) continue
    try {
      if (refusedAt !== undefined) {
        yield fail(
          `service account at ${endpoint.url}`,
          `not tried: ${refusedAt} has refused it, and each try may count`,
        )
        continue
      }
      const bind = yield* bindService(
        connection,
        settings.service,
        { url: endpoint.url, asksPolicy: settings.preset.asksPolicy },
        about.signal,
      )
      if (bind.bind === 'refused') refusedAt = endpoint.url
      if (bind.bind !== 'done') continue
      const opened = yield* openSession(connection, endpoint, settings, services, about)
      if (opened === undefined || looked) continue
      looked = true
      yield* examineContent(opened, settings, services, about)
    } finally {
      await connection.close()
    }
  }
}

interface Opened {
  readonly session: Session
  readonly rootDse: RootDse | undefined
}

async function* openSession(
  connection: Connection,
  { url, host }: Endpoint,
  { options: { preset } }: Settings,
  { clock }: BackendServices,
  { signal }: ExamineAbout,
): AsyncGenerator<Finding, Opened | undefined> {
  const session = createSession(connection, signal)
  try {
    return { session, rootDse: yield* readRootDse(session, { url, preset, host }, clock.wall()) }
  } catch (error) {
    yield noAnswer(`directory ${url}`, error)
    return undefined
  }
}

/** What is the same on every server of a directory. */
async function* examineContent(
  { session, rootDse }: Opened,
  settings: Settings,
  services: BackendServices,
  { user, lockout, signal }: ExamineAbout,
): AsyncGenerator<Finding> {
  const { base_dn, bind } = settings.options
  let step = `base_dn ${base_dn}`
  try {
    if (!(yield* examineBase(session, base_dn, rootDse))) return
    step = user === undefined ? 'a person' : `user ${user}`
    const found = yield* examinePerson({ session, settings, services, rootDse, user, signal })
    if (rootDse?.activeDirectory !== true) return
    step = 'lockout policy'
    if (rootDse.defaultContext !== undefined) {
      yield* examineLockoutPolicy(session, rootDse.defaultContext, lockout)
    }
    step = 'rights of the service account'
    const own = bind.dn !== undefined && found !== undefined && isSameDn(found, bind.dn)
    yield* examineServiceRights(session, rootDse, own ? undefined : found)
  } catch (error) {
    yield noAnswer(step, error)
  }
}

/** @throws what is no failure of the directory: a bug */
function noAnswer(check: string, error: unknown): Finding {
  if (!(error instanceof DirectoryFailure)) throw error
  return fail(
    check,
    error.message,
    'is the directory overloaded? `operation_timeout` says how long it is waited for',
  )
}

async function readFiles(
  options: LdapOptions,
): Promise<Pick<ReachOptions, 'ca' | 'clientCertificate'> | Finding> {
  try {
    return { ca: await readCertificates(options), clientCertificate: await readClientCertificate(options) }
  } catch (error) {
    return fail(
      'certificate files',
      reasonOf(error),
      'correct `tls.ca_file`, `tls.cert_file` and `tls.key_file`',
    )
  }
}

async function* listServers(
  { endpoints, options: { discover, dns_servers, tls, insecure } }: Settings,
  signal: AbortSignal,
): AsyncGenerator<Finding, readonly Endpoint[]> {
  if (discover === undefined) return endpoints
  const check = `DNS SRV ${discover}`
  const security = tls.starttls ? 'starttls' : insecure ? 'none' : 'ldaps'
  try {
    const resolver = readingCompressed(createResolver(dns_servers))
    const rules = { domain: discover, security, anyTarget: tls.servername !== undefined } as const
    const found = await orAbort(discoverServers(rules, resolver), signal, 'connect')
    const inOrder = found.toSorted((one, other) => one.priority - other.priority || other.weight - one.weight)
    const shown = inOrder.map(
      ({ endpoint: { url }, priority, weight }) => `${url} (priority ${priority}, weight ${weight})`,
    )
    yield ok(
      check,
      `${found.length} ${found.length === 1 ? 'server' : 'servers'}, in this order: ${shown.join(', ')}`,
    )
    return inOrder.map(({ endpoint }) => endpoint)
  } catch (error) {
    const advice =
      'correct `discover`, name a DNS server of that domain in `dns_servers`, or list `urls` instead'
    yield fail(check, reasonOf(error), advice)
    return []
  }
}

function isSameDn(one: string, other: string): boolean {
  const [first, second] = [parseDn(one), parseDn(other)]
  return first !== undefined && second !== undefined && canonicalDn(first) === canonicalDn(second)
}
