/**
 * Everything that a login against this directory needs, looked at live: each server (DNS → TCP → TLS → service bind → root DSE),
 * then, on the first that lets us in, the base, one person with their groups, and the directory's own lockout policy. Nothing
 * is written, no user's password is sent, and a service account that was refused is not tried again.
 */
import type { BackendServices, Finding, Username } from '../../../plugin.ts'
import type { LdapOptions } from '../options.ts'
import { createIsOurs } from '../realm.ts'
import { createAddresses } from '../servers/lookup.ts'
import { proofOf } from '../servers/service.ts'
import { readSettings, type Settings } from '../settings.ts'
import type { Connection } from '../wire/connection.ts'
import type { Endpoint } from '../wire/endpoint.ts'
import { examineContent } from './content.ts'
import { readFiles } from './files.ts'
import { fail } from './finding.ts'
import type { OwnLockout } from './lockout-policy.ts'
import { listServers } from './name-servers.ts'
import { namedBy } from './named.ts'
import { notAsked } from './names.ts'
import { type ReachOptions, reach } from './reach.ts'
import { noAnswer } from './refusal.ts'
import { type RootDse, readRootDse } from './root-dse.ts'
import { bindService } from './service-bind.ts'
import { createSession, type Session } from './session.ts'

export interface ExamineAbout {
  readonly user?: string
  readonly username?: Username
  readonly lockout: OwnLockout
  readonly signal: AbortSignal
}

/** The same account may be that of several backends: on no server of any is it tried again. */
const FOR_THIS_RUN_MS = Number.POSITIVE_INFINITY

export async function* examine(
  options: LdapOptions,
  services: BackendServices,
  about: ExamineAbout,
): AsyncGenerator<Finding> {
  const { lockout, signal } = about
  const isTheirs = about.username !== undefined && !createIsOurs(options)(about.username)
  if (isTheirs && about.user !== undefined) yield notAsked(about.user, about.username)
  const { user, username } = isTheirs ? {} : about
  const files = yield* readFiles(options)
  if (files === undefined) return
  const settings = readSettings(services.id, options)
  const named = namedBy(options.discover)
  const { lookup } = createAddresses(options.dns_servers)
  const endpoints = yield* listServers(settings, signal)
  const reachOptions: ReachOptions = {
    ...files,
    minVersion: options.tls.min_version,
    servername: options.tls.servername,
    connectTimeoutMs: options.connect_timeout,
    operationTimeoutMs: options.operation_timeout,
    lookup,
    nameServers: options.dns_servers,
    wallMs: services.clock.wall(),
    toldOf: new Set(),
    named,
    namedIn: named.where,
  }

  const account = proofOf({ service: settings.service, clientCertificate: files.clientCertificate })
  let looked = false
  for (const endpoint of endpoints) {
    if (signal.aborted) return
    const connection = yield* reach(endpoint, reachOptions, signal)
    if (connection === undefined) continue
    // Whoever has called us off may never come back for the next finding.
    const close = () => void connection.close()
    signal.addEventListener('abort', close)
    try {
      const refused = services.refusedAccounts.refusal(account)
      if (refused !== undefined) {
        yield fail(`service account at ${endpoint.url}`, `not tried: ${refused}, and each try may count`)
        continue
      }
      const bind = yield* bindService(
        connection,
        settings.service,
        { url: endpoint.url, asksPolicy: settings.preset.asksPolicy, encrypt: named.encrypt },
        signal,
      )
      if (bind.bind === 'refused') {
        services.refusedAccounts.refuse(account, `${endpoint.url} has refused it`, FOR_THIS_RUN_MS)
      }
      if (bind.bind !== 'done') continue
      const opened = yield* openSession(connection, endpoint, settings, services, signal)
      if (opened === undefined || looked) continue
      looked = true
      yield* examineContent({ ...opened, settings, services, user, username, lockout, signal })
    } finally {
      signal.removeEventListener('abort', close)
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
  { options, service: { method } }: Settings,
  { clock }: BackendServices,
  signal: AbortSignal,
): AsyncGenerator<Finding, Opened | undefined> {
  const session = createSession(connection, signal)
  try {
    return { session, rootDse: yield* readRootDse(session, { url, host, options }, clock.wall()) }
  } catch (error) {
    yield noAnswer(`directory ${url}`, error, method)
    return undefined
  }
}
