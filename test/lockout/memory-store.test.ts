import t from 'tap'
import { createMemoryStore } from '../../src/lockout/memory-store.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { createLogRecorder } from '../support/log-recorder.ts'
import { storeConformance } from './store-conformance.ts'

const MIB = 1_048_576
function setUp(bytes = MIB) {
  const clock = createFakeClock()
  const log = createLogRecorder()
  return { clock, log, store: createMemoryStore({ clock, log, bytes }) }
}

t.test('the memory store is a store', async t => {
  storeConformance(t, async () => {
    const { store, clock } = setUp()
    return { store, advance: clock.advance }
  })
})
