import t from 'tap'
import type { Backend, Look } from '../../src/authentication/backend.ts'
import type { Link } from '../../src/authentication/chain.ts'
import { createFindSubjects } from '../../src/authentication/find-subjects.ts'
import { UnavailableError } from '../../src/authentication/outcome.ts'
import { createLogRecorder } from '../support/log-recorder.ts'
import { backend, link, user } from './backends.ts'

const asked = () => Promise.reject(new Error('nothing may be tried'))
const alice = { text: 'alice', typed: 'alice', user: 'alice' }

function sees(id: string, look: Look | Error, rest: Partial<Backend> = {}): Backend {
  return backend(id, asked, {
    async look() {
      if (look instanceof Error) throw look
      return look
    },
    ...rest,
  })
}

const find = (links: readonly Link[]) => createFindSubjects(links, createLogRecorder())(alice)

t.test('whoever the name is anywhere is found, each once, by the id that the lockout counts', async t => {
  const found = (id: string): Look => ({ found: 'one', user: user(id) })
  t.strictSame(
    await find([
      link(sees('corp', found('1'), {}), { on: { wrong_password: 'stop' } }),
      link(sees('email', found('2'), { issuer: 'local' })),
      link(sees('local', found('2'))),
      link(sees('disabled', { ...found('3'), state: 'disabled' } as Look)),
      link(sees('empty', { found: 'none' })),
      link(sees('other', { found: 'not_applicable', reason: 'of another realm' })),
    ]),
    { subjects: ['corp:1', 'local:2', 'disabled:3'], silent: [] },
  )
})

t.test('who could not say whom the name is, is told with the reason', async t => {
  t.strictSame(
    await find([
      link(sees('corp', new UnavailableError('connection refused', 'connect'))),
      link(sees('twins', { found: 'several', count: 2 })),
      link(backend('radius', asked)),
      link(sees('hangs', { found: 'none' }, { look: () => new Promise(() => {}) }), { timeoutMs: 20 }),
      link(sees('local', { found: 'one', user: user('1') })),
    ]),
    {
      subjects: ['local:1'],
      silent: [
        { backend: 'corp', reason: 'connect: connection refused' },
        { backend: 'twins', reason: '2 principals match' },
        { backend: 'radius', reason: 'it can say nothing without a password' },
        { backend: 'hangs', reason: 'no answer within 20 ms' },
      ],
    },
  )
})

t.test('a backend that is not asked for this name, and a deny list, are not asked here either', async t => {
  const bug = new Error('asked')
  t.strictSame(
    await find([
      link(sees('guests', bug), { usernameFilter: () => false }),
      link(sees('denied', bug), { deny: true }),
    ]),
    { subjects: [], silent: [] },
  )
})
