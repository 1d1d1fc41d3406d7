import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { watchEventLoop } from '../../src/observe/loop-watch.ts'
import { createLogRecorder } from '../support/log-recorder.ts'

t.test('an event loop that stood still is a warning and is measured (S95)', async t => {
  const log = createLogRecorder()
  const { promise: blocked, resolve: onBlock } = Promise.withResolvers<number>()
  const stop = watchEventLoop({ log, onBlock })
  t.teardown(stop)
  // So that it has begun to measure.
  await pause(100)
  const until = performance.now() + 600
  while (performance.now() < until);
  const keepAlive = setInterval(() => {}, 1_000)
  t.ok((await blocked) >= 500)
  clearInterval(keepAlive)
  t.match(log.at('warn')[0]?.fields, { event: 'sys_event_loop_blocked', ms: Number })
})

t.test('it keeps no process alive, and is silent after its end', async t => {
  const log = createLogRecorder()
  const stop = watchEventLoop({ log, onBlock: () => t.fail('it had ended') })
  stop()
  const until = performance.now() + 400
  while (performance.now() < until);
  await pause(1_100)
  t.strictSame(log.lines, [])
})
