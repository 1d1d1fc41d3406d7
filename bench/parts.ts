/** The parts of the bench: who is measured doing what, and with what each is compared. */
import { join } from 'node:path'
import { caseOf, type Durations } from './client.ts'
import { type Contender, NotHere, type Running } from './contender.ts'
import { keepers, peers } from './contenders/all.ts'
import { bareRoute } from './contenders/bare-route.ts'
import { prepareCeiling } from './contenders/ceiling.ts'
import { gatehouse, LOCKOUT, nobody, startGatehouse } from './contenders/gatehouse.ts'
import { listed } from './contenders/listed.ts'
import { addLocalUser } from './contenders/local-user.ts'
import { lockOut } from './contenders/lock-out.ts'
import type { BenchDirectory, BenchPerson } from './directory.ts'
import { addressFor, loginRequest } from './login-request.ts'
import { runClient } from './native.ts'
import type { Case, Result } from './rounds.ts'

export interface Bench {
  readonly directory: BenchDirectory
  /** Has the compiled clients; each contender gets a folder in it. */
  readonly folder: string
  readonly connections: readonly number[]
  readonly durations: Durations
  readonly say: (line: string) => void
}

export interface Part {
  readonly id: string
  readonly title: string
  /** What the ratio is to, in words. */
  readonly comparedWith: string
  /** Starts everybody; `stop` ends them. */
  prepare(bench: Bench, started: Running[]): Promise<Case[]>
  /** Whether this row is what others with as many connections are compared with. */
  isBase(result: Result): boolean
}

export const CEILING = 'raw search and bind, C'
export const SHIPPED = 'Gatehouse'
export const CACHED = 'Gatehouse, entry cache'
export const LOCKED_OUT = 'Gatehouse, locked out'
export const BARE_ROUTE = 'bare Fastify route'

const asShipped = gatehouse({ name: SHIPPED, remark: 'audit, lockout, log and timing on' })

const NO_AUDIT = { audit: { enabled: false } }
/** Ten lines a second: next to none. */
const NO_LOG = { log: { format: 'json', max_per_second: 10 } }
const NO_LOCKOUT = { lockout: { ...LOCKOUT, mode: 'off' } }

/** What is left without each: the difference is what it costs. */
const without = [
  asShipped,
  gatehouse({ name: 'without the audit trail', remark: '', sections: NO_AUDIT }),
  gatehouse({ name: 'without a log line each', remark: '', sections: NO_LOG }),
  gatehouse({ name: 'with the lockout off', remark: '', sections: NO_LOCKOUT }),
  gatehouse({ name: 'without all three', remark: '', sections: { ...NO_AUDIT, ...NO_LOG, ...NO_LOCKOUT } }),
]

export const parts: readonly Part[] = [
  {
    id: 'logins',
    title: 'The right password: search and bind',
    comparedWith: 'to the raw client in C with as many at once',
    isBase: ({ case: { name } }) => name === CEILING,
    async prepare(bench, started) {
      const cached = gatehouse({ name: CACHED, remark: '`entry_cache: 1h`', backend: { entry_cache: '1h' } })
      const logins = await startAll([asShipped, cached, ...peers, ...keepers], bench, started)
      return [...(await ceilings(bench)), ...(await rightLogins(logins, bench))]
    },
  },
  {
    id: 'costs',
    title: 'What each part costs',
    comparedWith: 'to the daemon as it ships',
    isBase: ({ case: { name } }) => name === SHIPPED,
    prepare: async (bench, started) => rightLogins(await startAll(without, bench, started), bench),
  },
  {
    id: 'tls',
    title: 'Over ldaps',
    comparedWith: 'to the daemon over plain ldap',
    isBase: ({ case: { name } }) => name === SHIPPED,
    async prepare(bench, started) {
      const ldaps = gatehouse({ name: 'Gatehouse, ldaps', remark: '', ldaps: true })
      return rightLogins(await startAll([asShipped, ldaps], bench, started), bench)
    },
  },
  {
    id: 'refusals',
    title: 'Refusals',
    comparedWith: 'of locked-out replies to a bare Fastify route that answers the same',
    isBase: ({ case: { name } }) => name === BARE_ROUTE,
    prepare: refusals,
  },
  {
    id: 'route',
    title: 'Without a directory',
    comparedWith: 'to a bare Fastify route, which refuses everybody',
    isBase: ({ case: { name } }) => name === BARE_ROUTE,
    async prepare(bench, started) {
      const [bare] = await startAll([bareRoute], bench, started)
      const login = await startAll([listed], bench, started)
      const requests = requestsFor(loginRequest, bench.directory.people, ({ password }) => password)
      const beside = bench.connections.flatMap(connections =>
        bare ? [one(bench, bare, requests, { connections, expects: bare.running.refused })] : [],
      )
      return [...(await Promise.all(beside)), ...(await rightLogins(login, bench))]
    },
  },
  {
    id: 'local',
    title: 'Local users (argon2id)',
    comparedWith: '',
    isBase: () => false,
    async prepare(bench, started) {
      const running = await startGatehouse(join(bench.folder, 'local'), [{ id: 'local', type: 'local' }])
      started.push(running)
      const login = { name: 'Gatehouse, local', running }
      const users = Array.from(
        { length: Math.ceil(Math.max(...bench.connections) / MOST_OF_ONE) },
        (_, at) => `local-${at}`,
      )
      const passwords = await Promise.all(users.map(name => addLocalUser(running, name)))
      // From addresses of their own: the same attempt at the same time would be verified once for all.
      const requests = bench.directory.people.map(({ uid }, index) => {
        const at = index % users.length
        return loginRequest(users[at] ?? '', passwords[at] ?? '', addressFor(uid))
      })
      return Promise.all(
        bench.connections.map(connections => one(bench, login, requests, { connections, expects: '200' })),
      )
    },
  },
]

/** At once, of one account: the lockout has places for one more. */
const MOST_OF_ONE = 4

/** Connections that load somebody before the first round. */
const SETTLING = 16

interface Login {
  readonly name: string
  readonly running: Running
}

/** Those whose program is not here are left out, and said so. */
async function startAll(
  contenders: readonly Contender[],
  bench: Bench,
  started: Running[],
): Promise<Login[]> {
  const logins: Login[] = []
  for (const contender of contenders) {
    const { name } = contender
    try {
      const running = await contender.start(
        bench.directory,
        join(bench.folder, `${started.length}-${slug(name)}`),
      )
      started.push(running)
      logins.push({ name, running })
    } catch (error) {
      if (!(error instanceof NotHere)) throw error
      bench.say(`${name}: not here: ${error.message}`)
    }
  }
  return logins
}

function slug(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')
}

async function ceilings({
  directory,
  folder,
  connections,
  durations: { warmUpS, seconds },
}: Bench): Promise<Case[]> {
  const ceiling = await prepareCeiling(directory, folder)
  const inNode = new URL('contenders/raw-node.ts', import.meta.url).pathname
  return connections.flatMap(atOnce => {
    const args = ceiling.args(atOnce, warmUpS, seconds)
    const common = { connections: atOnce, expects: 'accepted', pids: [] }
    return [
      { ...common, name: CEILING, run: phases => runClient(ceiling.command, args, phases) },
      {
        ...common,
        name: 'raw search and bind, Node',
        run: phases => runClient(process.execPath, [inNode, ...args], phases),
      },
    ] satisfies Case[]
  })
}

async function rightLogins(logins: readonly Login[], bench: Bench): Promise<Case[]> {
  for (const login of logins) await settle(login, bench)
  const cases = bench.connections.flatMap(connections =>
    logins.map(login => {
      const { running } = login
      const requests = requestsFor(running.request, bench.directory.people, ({ password }) => password)
      return one(bench, login, requests, { connections, expects: running.accepted })
    }),
  )
  return Promise.all(cases)
}

async function refusals(bench: Bench, started: Running[]): Promise<Case[]> {
  const { people } = bench.directory
  const quick = gatehouse({
    name: 'floor of 1 ms',
    remark: '',
    sections: { timing: { floor: '1ms', jitter: '1ms' } },
  })
  const bare = await startAll([bareRoute], bench, started)
  const [shipped, unpaced] = await startAll([asShipped, quick], bench, started)
  if (!shipped || !unpaced) return []
  for (const login of [shipped, unpaced]) await settle(login, bench)
  const locked = people.slice(-50)
  await lockOut(bench, shipped.running, locked)
  const open = people.slice(0, -50)
  const strangers = Array.from({ length: 20_000 }, () => shipped.running.request(nobody(), 'not-a-password'))
  const wrong = requestsFor(shipped.running.request, open, ({ uid }) => `wrong-${uid}`)
  const lockedOut = requestsFor(shipped.running.request, locked, ({ password }) => password)
  const cases = bench.connections.flatMap(connections => [
    ...bare.map(login => one(bench, login, lockedOut, { connections, expects: login.running.refused })),
    one(bench, { ...shipped, name: LOCKED_OUT }, lockedOut, { connections, expects: '429' }),
    one(bench, { ...shipped, name: 'Gatehouse, wrong' }, wrong, { connections, expects: '401' }),
    one(bench, { ...shipped, name: 'Gatehouse, unknown' }, strangers, { connections, expects: '401' }),
    one(bench, { ...unpaced, name: 'unknown, floor of 1 ms' }, strangers, { connections, expects: '401' }),
  ])
  return Promise.all(cases)
}

/** Everybody has been asked for by then, and what a runtime compiles is compiled. */
async function settle(login: Login, bench: Bench): Promise<void> {
  const { running } = login
  const { settleS } = bench.durations
  const requests = requestsFor(running.request, bench.directory.people, ({ password }) => password)
  const long = { ...bench, durations: { ...bench.durations, seconds: settleS } }
  const warmUp = await one(long, login, requests, { connections: SETTLING, expects: running.accepted })
  await warmUp.run({ onBegin() {}, onEnd() {} })
}

function requestsFor(
  request: Running['request'],
  people: readonly BenchPerson[],
  password: (person: BenchPerson) => string,
): Buffer[] {
  return people.map(person => request(person.uid, password(person)))
}

function one(
  { folder, durations }: Bench,
  { name, running }: Login,
  requests: readonly Buffer[],
  what: Pick<Case, 'connections' | 'expects'>,
): Promise<Case> {
  return caseOf(folder, running, requests, { name, ...what, ...durations })
}
