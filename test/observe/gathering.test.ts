import { once } from 'node:events'
import t from 'tap'
import { createGathering } from '../../src/observe/gathering.ts'

t.test('the first time is at once, and those that come soon after it are one, later', async t => {
  const done = new EventTarget()
  let times = 0
  const clock = { now: () => 1_000 }
  const { soon, now } = createGathering(5, clock, () => {
    times++
    done.dispatchEvent(new Event('done'))
  })
  soon()
  t.equal(times, 1)
  const later = once(done, 'done')
  soon()
  soon()
  t.equal(times, 1)
  await later
  t.equal(times, 2)
  soon()
  now()
  t.equal(times, 3, 'or at once where that is wanted')
})

t.test('long after the last time it is at once again', async t => {
  let [times, nowMs] = [0, 0]
  const { soon } = createGathering(5, { now: () => nowMs }, () => void times++)
  for (nowMs = 0; nowMs <= 30; nowMs += 10) soon()
  t.equal(times, 4)
})
