import type { FastifyInstance, FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import { type InvalidName, type LockDesk, MOST_LOCKS } from '../../authentication/locks.ts'
import { canonicalAddress } from '../address.ts'
import { requireJson } from '../json-body.ts'
import { presentLockList, presentShown, presentUnlocked } from '../locks.ts'
import type { Patience } from '../patience.ts'
import { RequestFault } from '../request-fault.ts'

/** How many locks are listed if nobody says how many. */
const USUAL_MOST = 1_000

const ListBody = Type.Object(
  {
    most: Type.Optional(
      Type.Integer({ minimum: 1, maximum: MOST_LOCKS, description: `${USUAL_MOST} without it` }),
    ),
  },
  { additionalProperties: false },
)

const User = Type.Optional(
  Type.String({ minLength: 1, description: 'As typed: any spelling, an alias, a UPN, an e-mail address' }),
)
const Address = Type.Optional(Type.String({ description: 'Where the end user comes from' }))

const ShowBody = Type.Object({ user: User, address: Address }, { additionalProperties: false })

const UnlockBody = Type.Object(
  {
    user: User,
    subject: Type.Optional(
      Type.String({
        pattern: '^[^:]+:.',
        maxLength: 1024,
        description: 'Id of a user: backend id and stable id',
      }),
    ),
    address: Address,
    operator: Type.Optional(
      Type.String({ minLength: 1, maxLength: 128, description: 'Who asks, for the log; nobody checks it' }),
    ),
  },
  { additionalProperties: false },
)

/** POST /admin/lockout/… of the admin listener: who is locked, and the end of it. */
export function lockoutRoutes(
  app: FastifyInstance,
  { lockDesk, patience }: { readonly lockDesk: () => LockDesk; readonly patience: Patience },
): void {
  const common = {
    onRequest: (request: FastifyRequest, _reply: unknown, done: () => void) => {
      requireJson(request)
      done()
    },
  }
  const querystring = Type.Object({}, { additionalProperties: false })

  app.post<{ Body: Static<typeof ListBody> }>(
    '/admin/lockout/list',
    { ...common, schema: { body: ListBody, querystring } },
    async ({ body }, reply) => {
      const { most = USUAL_MOST } = body
      return reply.send(presentLockList(await patience.wait(() => lockDesk().list(most))))
    },
  )

  app.post<{ Body: Static<typeof ShowBody> }>(
    '/admin/lockout/show',
    { ...common, schema: { body: ShowBody, querystring } },
    async ({ body }, reply) => {
      const { user, address } = body
      if (user === undefined && address === undefined) throw nothing('user or address')
      const asked = { ...(user !== undefined && { user }), ...readAddress(address) }
      return reply.send(presentShown(named(await patience.wait(() => lockDesk().show(asked)))))
    },
  )

  app.post<{ Body: Static<typeof UnlockBody> }>(
    '/admin/lockout/unlock',
    { ...common, schema: { body: UnlockBody, querystring } },
    async ({ id: requestId, body }, reply) => {
      const { address, ...rest } = body
      const { user, subject } = rest
      if (user === undefined && subject === undefined && address === undefined) {
        throw nothing('user, subject or address')
      }
      const order = { requestId, ...rest, ...readAddress(address) }
      return reply.send(presentUnlocked(named(await patience.wait(() => lockDesk().unlock(order)))))
    },
  )
}

function nothing(wanted: string): RequestFault {
  return new RequestFault({ pointer: '', detail: `${wanted} is missing` })
}

function readAddress(given: string | undefined): { readonly address?: string } {
  if (given === undefined) return {}
  const address = canonicalAddress(given)
  if (address === undefined) throw new RequestFault({ pointer: '/address', detail: 'not an address' })
  return { address }
}

function named<T extends { readonly ok: true }>(answer: T | InvalidName): T {
  if (!answer.ok) throw new RequestFault({ pointer: '/user', detail: answer.problem })
  return answer
}
