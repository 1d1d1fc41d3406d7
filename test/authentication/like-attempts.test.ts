import t from 'tap'
import { createLikeAttempts, type Likeness } from '../../src/authentication/like-attempts.ts'
import { Secret } from '../../src/authentication/secret.ts'

function likeness(password: string, more: Partial<Likeness> = {}): Likeness {
  return {
    caller: 'wiki',
    address: '192.0.2.1',
    name: 'alice',
    password: new Secret(password),
    ...more,
  }
}

t.test('finds the one that is alike in all four, and no other', async t => {
  const attempts = createLikeAttempts<string>()
  const ending = Promise.withResolvers<string>()
  const shared = attempts.share(likeness('right'), ending.promise)
  t.equal(attempts.find(likeness('right')), ending.promise)
  t.equal(attempts.find(likeness('wrong')), undefined)
  t.equal(attempts.find(likeness('right', { caller: 'mail' })), undefined)
  t.equal(attempts.find(likeness('right', { address: '192.0.2.2' })), undefined)
  t.equal(attempts.find(likeness('right', { name: 'bob' })), undefined)
  t.equal(
    attempts.find(likeness('right', { address: '192.0.2.', name: '1alice' })),
    undefined,
    'parts do not run into each other',
  )
  ending.resolve('done')
  t.equal(await shared, 'done')
  t.equal(attempts.find(likeness('right')), undefined, 'it is over')
})

t.test('several passwords of one name are told apart, each for as long as it takes', async t => {
  const attempts = createLikeAttempts<number>()
  const endings = [1, 2, 3].map(() => Promise.withResolvers<number>())
  const shared = endings.map(({ promise }, index) => attempts.share(likeness(`password ${index}`), promise))
  const found = () => endings.map((_, index) => attempts.find(likeness(`password ${index}`)) !== undefined)
  t.same(found(), [true, true, true])
  endings[0]?.resolve(1)
  await shared[0]
  t.same(found(), [false, true, true])
  endings[2]?.reject(new Error('broken'))
  await t.rejects(Promise.all(shared.slice(2)).then(), /broken/)
  t.same(found(), [false, true, false])
  endings[1]?.resolve(2)
  await shared[1]
  t.same(found(), [false, false, false])
})

t.test('the first one may end before the second is compared', async t => {
  const attempts = createLikeAttempts<number>()
  await attempts.share(likeness('one'), Promise.resolve(1))
  const second = Promise.withResolvers<number>()
  void attempts.share(likeness('two'), second.promise)
  t.equal(attempts.find(likeness('one')), undefined)
  t.equal(attempts.find(likeness('two')), second.promise)
  second.resolve(2)
})
