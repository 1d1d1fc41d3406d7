import t from 'tap'
import { createChance } from '../support/chance.ts'
import { holm, mannWhitney, median } from './statistics.ts'

t.test('the median of odd and even many numbers', async t => {
  t.equal(median([3, 1, 2]), 2)
  t.equal(median([4, 1, 3, 2]), 2.5)
  t.ok(Number.isNaN(median([])))
})

t.test('the rank test gives what others give', async t => {
  // By hand: the ranks of `low` come to 665, U = 200, z = 3.6897, p = erfc(z / √2).
  const low = Array.from({ length: 30 }, (_, i) => i + 1)
  const high = low.map(value => value + 10)
  const p = mannWhitney(low, high)
  t.ok(Math.abs(p - 0.000224484) < 1e-6, String(p))
  t.equal(mannWhitney(high, low), p, 'from both sides')
  t.ok(mannWhitney(low, low) > 0.999999)
  t.equal(mannWhitney([1, 1, 1], [1, 1, 1]), 1, 'all the same')
})

t.test(
  'it finds a millisecond and a half among the jitter of 2,000 replies, and nothing where there is nothing',
  async t => {
    const chance = createChance(7)
    const replies = (shift: number) => Array.from({ length: 2_000 }, () => 250 + shift + chance.next() * 30)
    t.ok(mannWhitney(replies(0), replies(1.5)) < 0.01 / 50)
    let rejected = 0
    for (let round = 0; round < 200; round++) if (mannWhitney(replies(0), replies(0)) < 0.05) rejected++
    t.ok(rejected >= 2 && rejected <= 22, `${rejected} of 200 at 5 %`)
  },
)

t.test(
  'the correction for many tests takes the smallest first, and stops at the first that is not small enough',
  async t => {
    t.strictSame(holm([0.5, 0.001, 0.01], 0.05), [false, true, true])
    t.strictSame(holm([0.5, 0.001, 0.03], 0.05), [false, true, false])
    t.strictSame(holm([0.02, 0.02, 0.02], 0.05), [false, false, false])
    t.strictSame(holm([], 0.05), [])
  },
)
