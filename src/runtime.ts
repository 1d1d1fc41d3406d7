/** What one configuration means for attempts: its backends and chain, who may call, and the answers. A reload swaps it. */

import { readFileSync } from 'node:fs'
import type { AttemptEvent } from './authentication/attempt-event.ts'
import type { Audit } from './authentication/audit.ts'
import { createAuthenticate } from './authentication/authenticate.ts'
import { type Chain, createChain, type Link } from './authentication/chain.ts'
import { type CheckResult, runChecks } from './authentication/checks.ts'
import { systemClock } from './authentication/clock.ts'
import { createFindSubjects } from './authentication/find-subjects.ts'
import { createGetUser } from './authentication/get-user.ts'
import { type HealthReport, probeAll } from './authentication/health.ts'
import { createLockDesk } from './authentication/lock-desk.ts'
import type { Lockout } from './authentication/lockout.ts'
import type { LockDesk } from './authentication/locks.ts'
import { createPace } from './authentication/pace.ts'
import type { PasswordTag } from './authentication/password-tag.ts'
import type { Release } from './authentication/release.ts'
import type { HashUser } from './authentication/user-hash.ts'
import { createUsernameNormaliser, type NormaliseUsername } from './authentication/username.ts'
import type { ClientConfig, Config } from './config/config.ts'
import { createExplainer } from './explainer.ts'
import type { Client, ClientCredential } from './http/clients.ts'
import { checkTls, type TlsOptions } from './http/listener.ts'
import type { Explainer } from './http/routes/explain.ts'
import { createCallers } from './http/security.ts'
import type { Service } from './http/service.ts'
import { closeBackend, type LinkParts, openLink, refuseStrayAliases } from './links.ts'

/** What outlives every configuration. */
export interface RuntimeParts extends LinkParts {
  /** For these settings, over the counters of all that came before. */
  readonly lockoutFor: (settings: Config['lockout']) => Lockout
  readonly passwordTag: PasswordTag
  readonly release: Release
  readonly audit: Audit
  readonly onAttempt: (event: AttemptEvent) => void
  /** An operator ended so many locks. */
  readonly onUnlock: (ended: number) => void
  readonly hashUser: HashUser
}

export interface Runtime {
  readonly config: Config
  /** The enabled backends in their order. */
  readonly links: readonly Link[]
  readonly chain: Chain
  readonly lockout: Lockout
  readonly normalise: NormaliseUsername
  /** For the public listener. */
  readonly service: Service
  /** What the public listener shows and trusts, as it is on disk now. */
  readonly tls?: TlsOptions
  /** For operators. */
  readonly explainer: Explainer
  readonly lockDesk: LockDesk
  /** Whether each backend can give verdicts. */
  probe(): Promise<HealthReport>
  /** Runs the configuration's `checks`. */
  check(): Promise<CheckResult[]>
  /** Runs what needs the backends: `drained` waits for it. */
  during<T>(work: () => Promise<T>): Promise<T>
  /** Resolves when nothing is in flight any more. */
  drained(): Promise<void>
  /** Lets go of every connection, whatever is in flight. Idempotent; never rejects. */
  close(): Promise<void>
}

/**
 * Makes every enabled backend and the chain over them.
 *
 * @throws Error when the configuration cannot work here; what was opened is closed again
 */
export async function openRuntime(config: Config, parts: RuntimeParts): Promise<Runtime> {
  const { log, audit, onAttempt, passwordTag, release, onUnlock, hashUser } = parts
  const tls = config.listen.tls && readTls(config.listen.tls)
  await using opened = new AsyncDisposableStack()
  const links: Link[] = []
  for (const settings of config.backends.filter(({ enabled }) => enabled)) {
    const link = await openLink(settings, parts)
    opened.defer(() => closeBackend(link.backend, log))
    links.push(link)
  }
  refuseStrayAliases(links)

  const chain = createChain(links, config.deadlineMs, systemClock)
  const lockout = parts.lockoutFor(config.lockout)
  const normalise = createUsernameNormaliser(links.flatMap(({ backend }) => backend.realm ?? []))
  const authenticate = createAuthenticate({
    chain,
    lockout,
    passwordTag,
    normalise,
    clock: systemClock,
    log,
    audit,
    onAttempt,
    timing: {
      pace: createPace({ timing: config.timing, deadlineMs: config.deadlineMs, clock: systemClock }),
      release,
      lockoutShown: config.lockout.disclosure === 'shown',
    },
  })
  const getUser = createGetUser(links, log)
  const callers = createCallers(
    {
      clients: config.clients.length === 0 ? 'anonymous' : config.clients.map(createClient),
      trustedProxies: config.trustedProxies,
    },
    log,
  )

  const { explain, callerOf } = createExplainer(config, { links, normalise, lockout, authenticate, log })
  const lockDesk = createLockDesk({
    desk: lockout.desk,
    inspect: lockout.inspect,
    normalise,
    findSubjects: createFindSubjects(links, log),
    hashUser,
    clock: systemClock,
    log,
    audit,
    onUnlock,
  })

  const { during, drained } = createTurnstile()
  const open = opened.move()
  let closing: Promise<void> | undefined
  return {
    config,
    ...(tls && { tls }),
    links,
    chain,
    lockout,
    normalise,
    service: {
      callers,
      authenticate: request => during(() => authenticate(request)),
      getUser: (id, caller) => during(() => getUser(id, caller)),
      lockoutDisclosure: config.lockout.disclosure,
    },
    explainer: { callerOf, explain: request => during(() => explain(request)) },
    lockDesk: {
      list: most => during(() => lockDesk.list(most)),
      show: request => during(() => lockDesk.show(request)),
      unlock: order => during(() => lockDesk.unlock(order)),
    },
    probe: () => during(() => probeAll(links)),
    check: () => during(() => runChecks(config.checks, { links, normalise, log })),
    during,
    drained,
    close() {
      closing ??= open.disposeAsync()
      return closing
    },
  }
}

/** Counts who is inside. */
function createTurnstile(): Pick<Runtime, 'during' | 'drained'> {
  let inside = 0
  let empty = Promise.withResolvers<void>()
  empty.resolve()
  return {
    async during(work) {
      if (inside++ === 0) empty = Promise.withResolvers()
      try {
        return await work()
      } finally {
        if (--inside === 0) empty.resolve()
      }
    },
    async drained() {
      // Somebody may have come in between the last one's leaving and our hearing of it.
      while (inside > 0) await empty.promise
    },
  }
}

/** @throws Error that says which option, for what cannot be read or does not belong together */
function readTls({ certFile, keyFile, clientCaFile }: NonNullable<Config['listen']['tls']>): TlsOptions {
  try {
    const tls = {
      cert: readFileSync(certFile),
      key: readFileSync(keyFile),
      ...(clientCaFile !== undefined && { clientCa: readFileSync(clientCaFile) }),
    }
    checkTls(tls)
    return tls
  } catch (error) {
    throw new Error(`listen.tls: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
}

function createClient(settings: ClientConfig): Client {
  const { id, identity, may, backends, requiredGroups, attributes, rateLimit } = settings
  return {
    id,
    credential: credentialOf(identity),
    may: new Set(may),
    requiredGroups,
    ...(backends !== undefined && { backends: new Set(backends) }),
    ...(attributes !== undefined && { attributes: new Set(attributes) }),
    ...(rateLimit !== undefined && { rateLimit }),
  }
}

function credentialOf(identity: ClientConfig['identity']): ClientCredential {
  switch (identity.by) {
    case 'key':
      return { kind: 'key', sha256: identity.sha256 }
    case 'tls_subject':
      return { kind: 'tls', subject: identity.subject }
    case 'cidr':
      return { kind: 'cidr', cidr: identity.cidr }
  }
}
