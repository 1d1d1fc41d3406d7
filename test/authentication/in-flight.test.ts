import { array, assert, constantFrom, integer, property, tuple } from 'fast-check'
import t from 'tap'
import { createInFlight } from '../../src/authentication/in-flight.ts'

t.test('it is what a map is, in the same order', async t => {
  const step = tuple(constantFrom('set', 'delete'), integer({ min: 0, max: 5 }))
  assert(
    property(array(step, { maxLength: 60 }), steps => {
      const map = new Map<number, number>()
      const inFlight = createInFlight<number, number>()
      for (const [at, [what, key]] of steps.entries()) {
        if (what === 'set') {
          map.set(key, at)
          inFlight.set(key, at)
        } else if (inFlight.delete(key) !== map.delete(key)) return false
        if (inFlight.get(key) !== map.get(key) || inFlight.has(key) !== map.has(key)) return false
      }
      const [first] = map.values()
      const same = JSON.stringify([...inFlight.entries()]) === JSON.stringify([...map])
      return same && inFlight.size === map.size && inFlight.first() === first
    }),
  )
  t.pass('for any steps')
})

t.test('what is deleted while it is gone through is left out', async t => {
  const inFlight = createInFlight<string, number>()
  for (const [key, value] of Object.entries({ a: 1, b: 2, c: 3 })) inFlight.set(key, value)
  const seen: number[] = []
  for (const value of inFlight.values()) {
    seen.push(value)
    inFlight.delete('b')
  }
  t.same(seen, [1, 3])
})

t.test('a place that came free is used again, and what was there is gone', async t => {
  const inFlight = createInFlight<number, object>()
  inFlight.set(1, { of: 1 })
  inFlight.delete(1)
  inFlight.set(2, { of: 2 })
  t.same([...inFlight.values()], [{ of: 2 }])
  t.equal(inFlight.get(1), undefined)
})
