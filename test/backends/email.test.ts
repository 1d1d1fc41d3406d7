import t, { type Test } from 'tap'
import type { Backend } from '../../src/authentication/backend.ts'
import { createChain } from '../../src/authentication/chain.ts'
import { systemClock } from '../../src/authentication/clock.ts'
import type { Lease } from '../../src/authentication/lockout.ts'
import { Secret } from '../../src/authentication/secret.ts'
import { createUsernameNormaliser } from '../../src/authentication/username.ts'
import { emailPlugin } from '../../src/backends/email/index.ts'
import { localPlugin } from '../../src/backends/local/index.ts'
import { createPasswordHasher } from '../../src/passwords/hasher.ts'
import type { BackendServices } from '../../src/plugin.ts'
import { createLocalUsers, type Passwords } from '../../src/users/local-users.ts'
import { link } from '../authentication/backends.ts'
import { openStore, quiet } from '../users/temporary.ts'

const PASSWORD = 'correct horse battery'
const log = { ...quiet, debug() {}, info() {}, error() {}, fatal() {}, child: () => log }

/** Both backends over one real store; hashing is real and counted. */
async function daemon(t: Test) {
  const hasher = createPasswordHasher({ threads: 1, parameters: { memoryKiB: 32, passes: 1, lanes: 1 } })
  t.teardown(hasher.close)
  const { store } = openStore(t)
  const passwordHash = await hasher.hash(new Secret(PASSWORD))
  const add = (username: string, email: string | undefined, hash = passwordHash) => {
    const change = store.create({ username, ...(email && { email }), groups: [], passwordHash: hash })
    if (!change.ok) throw new Error(change.problem)
    return change.user.id
  }
  const ids = {
    alice: add('alice', 'alice@corp.example'),
    dan: add('dan', 'dan@corp.example'),
    una: add('una', 'una@corp.example', '!'),
    looks: add('looks@like.example', undefined),
    both: add('both@corp.example', 'both@corp.example'),
  }
  store.setDisabled(ids.dan, true)
  const counted = { hashes: 0 }
  const passwords: Passwords = {
    hash: hasher.hash,
    verify: (...args) => {
      counted.hashes++
      return hasher.verify(...args)
    },
  }
  const localUsers = createLocalUsers({ store, passwords, log })
  const services = (id: string) => ({ id, localUsers }) as Partial<BackendServices> as BackendServices
  const email = await emailPlugin.create({}, services('email'))
  const local = await localPlugin.create({}, services('local'))
  return { ids, counted, email, local }
}

const normalise = createUsernameNormaliser([])

async function ask(
  order: readonly Backend[],
  name: string,
  password: string,
  options: { claim?: Lease['claim']; stopOnWrong?: boolean } = {},
) {
  const { claim = async () => ({ admitted: true }), stopOnWrong = false } = options
  const links = order.map(backend => link(backend, { on: stopOnWrong ? { wrong_password: 'stop' } : {} }))
  const normalised = normalise(name)
  if (!normalised.ok) throw new Error(normalised.problem)
  const { verdict, subject } = await createChain(links, 5_000, systemClock).run({
    username: normalised.username,
    password: new Secret(password),
    claim,
    log,
  })
  return { verdict, subject }
}

t.test('in every order and case a request costs exactly one hash, whoever exists', async t => {
  const { email, local, ids, counted } = await daemon(t)
  const orders: Record<string, Backend[]> = {
    'email → local': [email, local],
    'local → email': [local, email],
    'email alone': [email],
    'local alone': [local],
  }
  // Name, and whom each backend knows by it.
  const names: [string, string | undefined, string | undefined][] = [
    ['alice', undefined, ids.alice],
    ['alice@corp.example', ids.alice, undefined],
    ['ALICE@Corp.Example', ids.alice, undefined],
    ['looks@like.example', undefined, ids.looks],
    ['both@corp.example', ids.both, ids.both],
    ['nobody', undefined, undefined],
    ['nobody@corp.example', undefined, undefined],
    ['@', undefined, undefined],
    ['una', undefined, ids.una],
    ['una@corp.example', ids.una, undefined],
    ['dan', undefined, ids.dan],
    ['dan@corp.example', ids.dan, undefined],
  ]
  for (const [order, backends] of Object.entries(orders)) {
    for (const [name, byEmail, byUsername] of names) {
      for (const password of [PASSWORD, 'wrong']) {
        for (const stopOnWrong of [false, true]) {
          const before = counted.hashes
          const { verdict, subject } = await ask(backends, name, password, { stopOnWrong })
          const what = `${order}: ${name}, ${password}`
          t.equal(counted.hashes - before, 1, what)

          const found =
            (backends.includes(email) ? byEmail : undefined) ??
            (backends.includes(local) ? byUsername : undefined)
          const good = password === PASSWORD && found !== ids.una
          if (found === undefined) t.match(verdict, { verdict: 'rejected', reason: 'credentials' })
          else if (found === ids.dan) t.match(verdict, { verdict: 'account_state', passwordVerified: good })
          else if (good)
            t.match(
              { verdict, subject },
              {
                verdict: { verdict: 'accepted', user: { id: `local:${found}`, backend: 'local' } },
                subject: `local:${found}`,
              },
            )
          else t.match(verdict, { verdict: 'rejected', reason: 'credentials' })
        }
      }
    }
  }
})

t.test('name and address of a person are one subject, and one locked out is verified by neither', async t => {
  const { email, local, ids, counted } = await daemon(t)
  // The one hash that remains was made by a backend to which the name means nobody: it learned nothing from it.
  const cases: [string, Backend[], string, number][] = [
    ['alice', [local, email], ids.alice, 0],
    ['alice', [email, local], ids.alice, 1],
    ['alice@corp.example', [email, local], ids.alice, 0],
    ['alice@corp.example', [local, email], ids.alice, 1],
    ['both@corp.example', [email, local], ids.both, 0],
    ['both@corp.example', [local, email], ids.both, 0],
  ]
  for (const [name, order, id, hashes] of cases) {
    const claimed = new Set<string>()
    const claim: Lease['claim'] = async subject => {
      claimed.add(subject)
      return { admitted: false, reason: 'locked', retryAfterMs: 1_000 }
    }
    const before = counted.hashes
    const { verdict } = await ask(order, name, PASSWORD, { claim })
    t.match(verdict, { verdict: 'locked_out' }, `${name}: the right password, too`)
    t.strictSame([...claimed], [`local:${id}`])
    t.equal(counted.hashes - before, hashes)
  }
})

t.test('a place refused for the first backend and given for the second is a real verification', async t => {
  const { email, local, ids } = await daemon(t)
  let asked = 0
  const claim: Lease['claim'] = async () =>
    asked++ === 0 ? { admitted: false, reason: 'locked', retryAfterMs: 1 } : { admitted: true }
  const { subject } = await ask([email, local], 'both@corp.example', PASSWORD, { claim })
  t.equal(subject, `local:${ids.both}`)
})

t.test('parallel requests about one person do not answer for each other', async t => {
  const { email, local, counted } = await daemon(t)
  const requests = Array.from({ length: 60 }, async (_, n) => {
    const name = ['alice', 'alice@corp.example', 'nobody'][n % 3] ?? ''
    const good = n % 2 === 0
    const order = n % 4 < 2 ? [email, local] : [local, email]
    const { verdict } = await ask(order, name, good ? PASSWORD : `wrong ${n}`)
    return (verdict.verdict === 'accepted') === (good && name !== 'nobody')
  })
  t.notOk((await Promise.all(requests)).includes(false))
  t.equal(counted.hashes, 60)
})

t.test(
  'it issues no ids of its own: it stands for the local users, under whatever id they are configured',
  async t => {
    const { email } = await daemon(t)
    t.equal(email.issuer, 'local')
    t.equal(await email.getUser('x', AbortSignal.timeout(1)), undefined)
    const services = { id: 'mail', localUsers: { probe: () => ({ ok: true }) } } as unknown as BackendServices
    const other = await emailPlugin.create({ users: 'people' }, services)
    t.match(other, { id: 'mail', issuer: 'people' })
    t.strictSame(await other.probe(AbortSignal.timeout(1)), { ok: true })
    await other.close()
  },
)

t.test('a look finds by the address only, costs no hash, and knows who is disabled', async t => {
  const { email, local, ids, counted } = await daemon(t)
  const look = async (backend: Backend, name: string) => {
    const normalised = normalise(name)
    if (!normalised.ok) throw new Error(normalised.problem)
    return backend.look?.(normalised.username, AbortSignal.timeout(1_000), () => {})
  }
  t.match(await look(email, 'ALICE@corp.example'), { found: 'one', user: { id: ids.alice } })
  t.strictSame(await look(email, 'alice'), { found: 'none' })
  t.match(await look(local, 'alice'), { found: 'one', user: { id: ids.alice } })
  t.strictSame(await look(local, 'alice@corp.example'), { found: 'none' })
  t.match(await look(email, 'dan@corp.example'), { found: 'one', state: 'disabled' })
  t.equal(counted.hashes, 0)
})
