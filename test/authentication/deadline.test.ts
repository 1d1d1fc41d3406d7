import t from 'tap'
import { TIMED_OUT, withDeadline } from '../../src/authentication/deadline.ts'

t.test('gives what the work gives, or throws what it throws, at once or later', async t => {
  t.equal(await withDeadline(1_000, async () => 'done'), 'done')
  t.equal(await withDeadline(1_000, () => 'no promise' as unknown as Promise<string>), 'no promise')
  await t.rejects(
    withDeadline(1_000, async () => {
      throw new Error('later')
    }),
    /later/,
  )
  await t.rejects(
    withDeadline(1_000, () => {
      throw new Error('at once')
    }),
    /at once/,
  )
})

t.test(
  'at the deadline whoever waits is told before the work is, and what comes late is swallowed',
  async t => {
    const order: string[] = []
    const late = Promise.withResolvers<string>()
    const answer = await withDeadline(
      5,
      signal => {
        signal.addEventListener('abort', () => order.push('aborted'))
        return late.promise
      },
      () => order.push('expired'),
    )
    t.equal(answer, TIMED_OUT)
    t.same(order, ['expired', 'aborted'])
    late.reject(new Error('too late'))
  },
)
