import t from 'tap'
import type { LocalUsers } from '../../src/authentication/local-users.ts'
import { UnavailableError } from '../../src/authentication/outcome.ts'
import { localPlugin } from '../../src/backends/local/index.ts'
import type { BackendServices, Finding } from '../../src/plugin.ts'

const services = (localUsers: Partial<LocalUsers>): BackendServices =>
  ({ id: 'people', localUsers }) as Partial<BackendServices> as BackendServices

t.test('it issues its own ids and looks up by the normalised name, its domain as typed', async t => {
  const asked: unknown[] = []
  const backend = await localPlugin.create(
    {},
    services({
      authenticateByUsername: async (name, attempt) => {
        asked.push(name, attempt)
        return { outcome: 'unknown_user' }
      },
      getUser: id => ({ id, username: 'alice', groups: [], roles: [], attributes: {} }),
      probe: () => ({ ok: true }),
    }),
  )
  const attempt = {
    username: { text: 'alice@corp.example', typed: 'alice@corp.alt', user: 'alice', domain: 'corp.example' },
  } as never
  t.equal(backend.id, 'people')
  t.equal(backend.issuer, undefined)
  t.match(await backend.authenticate(attempt), { outcome: 'unknown_user' })
  t.strictSame(asked, ['alice@corp.alt', attempt])
  t.match(await backend.getUser('x', AbortSignal.timeout(1)), { id: 'x' })
  t.strictSame(await backend.probe(AbortSignal.timeout(1)), { ok: true })
  await backend.close()
  await backend.close()
})

t.test('a database that is out is reported as such', async t => {
  const getUser = () => {
    throw new UnavailableError('SQLITE_BUSY', 'lookup')
  }
  const probe = () => ({ ok: false, reason: 'SQLITE_BUSY' }) as const
  const down = await localPlugin.create({}, services({ getUser, probe }))
  t.strictSame(await down.probe(AbortSignal.timeout(1)), { ok: false, reason: 'SQLITE_BUSY' })
  await t.rejects(down.getUser('x', AbortSignal.timeout(1)), UnavailableError)
})

t.test('a look finds the person without a password, and says what it looked for', async t => {
  const people = { alice: {}, dan: { state: 'disabled' } as const }
  const backend = await localPlugin.create(
    {},
    services({
      findByUsername: name => {
        const person = people[name as keyof typeof people]
        return person && { id: name, username: name, groups: [], roles: [], attributes: {}, ...person }
      },
    }),
  )
  const look = (name: string, notes: unknown[] = []) =>
    backend.look?.({ text: name, typed: name, user: name }, AbortSignal.timeout(1), fact => notes.push(fact))
  const notes: unknown[] = []
  t.match(await look('alice', notes), { found: 'one', user: { id: 'alice' }, state: undefined })
  t.strictSame(notes, [{ what: 'looked for', value: 'username alice' }])
  t.match(await look('dan'), { found: 'one', state: 'disabled' })
  t.strictSame(await look('nobody'), { found: 'none' })
})

t.test('examined, it counts', async t => {
  const examine = async (count: LocalUsers['count']) => {
    const about = { lockout: { maxAttempts: 5, windowMs: 1 }, signal: AbortSignal.timeout(1) }
    const findings: Finding[] = []
    for await (const each of localPlugin.examine?.({}, services({ count }), about) ?? []) findings.push(each)
    return findings
  }
  t.match(await examine(() => ({ all: 2, withEmail: 0 })), [{ status: 'ok', detail: '2 in the database' }])
  t.match(await examine(() => ({ all: 0, withEmail: 0 })), [{ status: 'warn', advice: /gatehouse user add/ }])
  const out = () => {
    throw new UnavailableError('SQLITE_BUSY', 'lookup')
  }
  t.match(await examine(out), [{ status: 'fail', detail: 'SQLITE_BUSY' }])
})
