/** The two listeners of the daemon (api.md): what both have in common, and the routes of each. */
import { randomUUID } from 'node:crypto'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Clock } from '../authentication/clock.ts'
import type { LockDesk } from '../authentication/locks.ts'
import type { Log } from '../authentication/log.ts'
import type { Secret } from '../authentication/secret.ts'
import { createAdminDoor, createPageGuard } from './admin-door.ts'
import { type Connections, createConnections } from './connections.ts'
import { createErrorHandler, createOutageHandler } from './error-handler.ts'
import { arriveByProxy, asForwardAuth } from './forward-auth.ts'
import { checkHeaders, createClientErrorHandler } from './framing.ts'
import { acceptJsonBodies } from './json-body.ts'
import { defaultLimits, type Limits } from './limits.ts'
import { createListener, setTls, type TlsOptions } from './listener.ts'
import { createPatience } from './patience.ts'
import { createSendProblem, FIXED_HEADERS, type SendAdminProblem, type SendProblem } from './problem.ts'
import type { BackendStatus, ConfigStatus, Readiness, StoreStatus } from './readiness.ts'
import { RequestFault } from './request-fault.ts'
import { authRoute } from './routes/auth.ts'
import { authenticateRoute } from './routes/authenticate.ts'
import { type Explainer, explainRoute } from './routes/explain.ts'
import { livezRoute, readyzDetailsRoute, readyzRoute } from './routes/health.ts'
import { lockoutRoutes } from './routes/lockout.ts'
import { metricsRoute, type ReadMetrics } from './routes/metrics.ts'
import { proofRoute } from './routes/proof.ts'
import { type Reload, reloadRoute } from './routes/reload.ts'
import { usersRoute } from './routes/users.ts'
import { createDoor, type Door, VISITOR } from './security.ts'
import type { Service } from './service.ts'
import { compileSchema } from './validation.ts'

interface CommonOptions {
  readonly readiness: () => Readiness
  readonly log: Log
  /** What differs from `defaultLimits`. */
  readonly limits?: Partial<Limits>
}

export interface PublicServerOptions extends CommonOptions {
  /** Asked at each request, so that a reload can swap who may call and who answers, both at once. */
  readonly service: () => Service
  readonly tls?: TlsOptions
  readonly clock: Clock
}

export interface AdminServerOptions extends CommonOptions {
  readonly health: () => Promise<readonly BackendStatus[]>
  readonly lockoutStore: () => StoreStatus
  readonly audit?: () => StoreStatus
  readonly config: () => ConfigStatus
  readonly metrics: ReadMetrics
  /** The host that the listener is configured with. */
  readonly host: string
  /** What operators may do with the admin token; without it health is all there is. */
  readonly operators?: OperatorOptions
}

export interface OperatorOptions {
  readonly token: Secret
  /** Asked at each request, so that a reload can swap it. */
  readonly explainer: () => Explainer
  /** The same. */
  readonly lockDesk: () => LockDesk
  readonly reload: Reload
  readonly clock: Clock
}

/**
 * The listener for intranet apps. `listen()` and `close()` are Fastify's; `close()` answers what is in flight, closes
 * everything else at once and is done within `limits.drainMs`.
 *
 * @throws Error for TLS material that cannot be
 */
export function createPublicServer(options: PublicServerOptions): FastifyInstance {
  const { app, connections, sendProblem, readiness, limits } = createServer(options, options.tls)
  let trusted = options.tls?.clientCa
  app.decorate(RENEW_TLS, ((tls: TlsOptions) => {
    setTls(app.server, tls)
    // A connection was judged by the CAs of its time.
    if (!isSame(trusted, tls.clientCa)) connections.renew()
    trusted = tls.clientCa
  }) satisfies RenewTls)
  const { service } = options
  const patience = createPatience(limits.answerMs, options.clock)
  app.addHook('onClose', async () => patience.stop())

  app.register(async open => {
    livezRoute(open)
    readyzRoute(open, { readiness, sendProblem })
  })
  app.register(async guarded => {
    guard(guarded, createDoor({ service, readiness }, sendProblem))
    authenticateRoute(guarded, { sendProblem, patience })
    usersRoute(guarded, { sendProblem, patience })
  })
  app.register(async guarded => {
    const send = asForwardAuth(sendProblem)
    guard(guarded, createDoor({ service, readiness, arrive: arriveByProxy, takesRequestId: false }, send))
    guarded.setErrorHandler(createErrorHandler(send))
    authRoute(guarded, { sendProblem: send, patience })
  })
  return app
}

function guard(routes: FastifyInstance, { enter, enterAgain }: Door): void {
  routes.decorateRequest(VISITOR, null)
  routes.addHook('onRequest', enter)
  routes.addHook('preHandler', enterAgain)
}

type RenewTls = (tls: TlsOptions) => void

/** The key under which Fastify keeps what `renewTls` does. */
const RENEW_TLS = 'renewTls'

/**
 * New connections to a public server get this certificate. Those that are open keep theirs, unless other client certificates
 * count from now on: then each ends after the reply it owes. Nothing on a server without TLS.
 */
export function renewTls(app: FastifyInstance, tls: TlsOptions): void {
  app.getDecorator<RenewTls>(RENEW_TLS)(tls)
}

function isSame(one: string | Buffer | undefined, other: string | Buffer | undefined): boolean {
  return one?.toString() === other?.toString()
}

/** The listener for operators. It must not be reachable for others: for health it asks nobody who they are. */
export function createAdminServer(options: AdminServerOptions): FastifyInstance {
  const { app, sendProblem, readiness, limits } = createServer(options, undefined)
  app.addHook('onRequest', createPageGuard(options.host, sendProblem))
  app.register(async open => {
    livezRoute(open)
    readyzDetailsRoute(open, { ...options, readiness })
    metricsRoute(open, options.metrics)
  })
  const { operators } = options
  if (operators === undefined) return app
  app.register(async open => proofRoute(open, operators.token))
  const patience = createPatience(limits.answerMs, operators.clock)
  app.addHook('onClose', async () => patience.stop())
  app.register(async guarded => {
    guarded.addHook(
      'onRequest',
      createAdminDoor({ ...operators, host: options.host, readiness }, sendProblem),
    )
    guarded.setErrorHandler(createOutageHandler(sendProblem))
    explainRoute(guarded, { explainer: operators.explainer, patience })
    lockoutRoutes(guarded, { lockDesk: operators.lockDesk, patience })
    reloadRoute(guarded, { reload: operators.reload, sendProblem })
  })
  return app
}

interface CommonServer {
  readonly app: FastifyInstance
  readonly connections: Connections
  readonly sendProblem: SendAdminProblem
  /** As the daemon says, but stopping as soon as this listener is closing. */
  readonly readiness: () => Readiness
  readonly limits: Limits
}

function createServer(
  { readiness, log, limits: changes }: CommonOptions,
  tls: TlsOptions | undefined,
): CommonServer {
  const limits = { ...defaultLimits, ...changes }
  const sendProblem = createSendProblem(log, limits)
  const handleError = createErrorHandler(sendProblem)
  const connections = createConnections()
  let closing = false

  const app = Fastify({
    serverFactory(handler) {
      const server = createListener(handler, limits, tls)
      connections.watch(server)
      return server
    },
    clientErrorHandler: createClientErrorHandler(connections, log),
    bodyLimit: limits.bodyBytes,
    // Said here and not afterwards: else Fastify loads its own validator first. Its types know of no other.
    schemaController: { compilersFactory: { buildValidator: () => compileSchema as never } },
    genReqId: () => randomUUID(),
    // We answer during the closing ourselves, in our own format.
    return503OnClosing: false,
    // Long ids are the business of the route, which knows who asks.
    routerOptions: { maxParamLength: 16 * 1024 },
    frameworkErrors(error, request, reply) {
      stamp(request, reply)
      handleError(error, request, reply)
    },
  })
  acceptJsonBodies(app, limits)
  app.setErrorHandler(handleError)
  app.addHook('onRequest', (request, reply, done) => {
    stamp(request, reply)
    checkHeaders(request.raw)
    refusePasswordInQuery(request)
    if (request.is404) refusePath(app, request, reply, sendProblem)
    else done()
  })
  app.addHook('preClose', done => {
    closing = true
    connections.drain(limits.drainMs)
    done()
  })
  return {
    app,
    connections,
    sendProblem,
    limits,
    readiness: () => (closing ? { phase: 'stopping', ready: false } : readiness()),
  }
}

const FIXED = Object.entries(FIXED_HEADERS)

function stamp(request: FastifyRequest, reply: FastifyReply): void {
  for (const [name, value] of FIXED) reply.header(name, value)
  reply.header('x-request-id', request.id)
}

/** Query strings end up in the logs of proxies (security.md S60), so whoever sends a password there must hear of it. */
function refusePasswordInQuery({ query }: FastifyRequest): void {
  for (const name in query as object) {
    if (name.toLowerCase() === 'password')
      throw new RequestFault({ parameter: 'password', detail: 'not in a URL' })
  }
}

/** 404, or 405 where the path exists with other methods; before the body is read. */
function refusePath(
  app: FastifyInstance,
  request: FastifyRequest,
  reply: FastifyReply,
  sendProblem: SendProblem,
): void {
  const allow = app.supportedMethods.filter(method => app.findRoute({ method, url: request.url }) !== null)
  if (allow.length === 0) sendProblem(request, reply, 'not_found')
  else sendProblem(request, reply, 'method_not_allowed', { allow })
}
