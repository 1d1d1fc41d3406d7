import t from 'tap'
import { limitLog } from '../../src/observe/log-limit.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { createLogRecorder } from '../support/log-recorder.ts'

function create(perSecond = 3) {
  const clock = createFakeClock()
  const recorder = createLogRecorder()
  return { clock, recorder, ...limitLog(recorder, perSecond, clock) }
}

t.test(
  'of one kind of line only so many are written in a second, and how many more there were (S84)',
  async t => {
    const { log, clock, recorder } = create()
    for (let line = 0; line < 10; line++) log.info({ line }, 'refused')
    log.warn({}, 'refused')
    log.info({}, 'logged in')
    t.match(
      recorder.lines.map(({ level, message }) => `${level} ${message}`),
      ['info refused', 'info refused', 'info refused', 'warn refused', 'info logged in'],
      'another level and another message are other kinds',
    )
    clock.advance(1_000)
    log.info({}, 'refused')
    t.match(recorder.lines.slice(5), [
      { level: 'info', message: 'more lines of one kind', fields: { suppressed: 7, of: 'refused' } },
      { level: 'info', message: 'refused' },
    ])
  },
)

t.test('child logs are counted with their parent, and keep their fields', async t => {
  const { log, recorder } = create()
  const [one, other] = [
    log.child({ request_id: 'r-1' }),
    log.child({ request_id: 'r-2' }).child({ deep: true }),
  ]
  for (let line = 0; line < 4; line++) {
    one.error({ line }, 'out')
    other.error({ line }, 'out')
  }
  t.match(recorder.lines, [
    { fields: { request_id: 'r-1', line: 0 } },
    { fields: { request_id: 'r-2', deep: true, line: 0 } },
    { fields: { request_id: 'r-1', line: 1 } },
  ])
  t.equal(recorder.lines.length, 3)
})

t.test(
  'whoever asks first need not make a line that is left out, and it is counted all the same',
  async t => {
    const { log, clock, recorder } = create()
    const child = log.child({ request_id: 'r-1' })
    let made = 0
    for (let line = 0; line < 10; line++) {
      if (child.leavesOut?.('warn', 'refused')) continue
      made++
      child.warn({ line }, 'refused')
    }
    t.equal(made, 3)
    t.equal(log.leavesOut?.('info', 'refused'), false, 'another kind')
    t.equal(log.leavesOut?.('fatal', 'refused'), false)
    clock.advance(1_000)
    t.equal(log.leavesOut?.('warn', 'refused'), false, 'another second')
    t.match(recorder.lines.slice(3), [{ level: 'warn', fields: { suppressed: 7, of: 'refused' } }])
  },
)

t.test('what wakes somebody up is never left out', async t => {
  const { log, recorder } = create()
  for (let line = 0; line < 10; line++) log.fatal({}, 'the service password is refused')
  t.equal(recorder.lines.length, 10)
})

t.test('what was left out is told also if nothing more comes', async t => {
  const { log, flush, recorder } = create()
  for (let line = 0; line < 5; line++) log.debug({}, 'step')
  flush()
  t.match(recorder.lines.at(-1), { level: 'debug', fields: { suppressed: 2 } })
  flush()
  t.equal(recorder.lines.length, 4, 'once')

  for (let line = 0; line < 5; line++) log.debug({}, 'step')
  t.equal(recorder.lines.length, 7)
  const keepAlive = setInterval(() => {}, 50)
  while (recorder.lines.length < 8) await new Promise(setImmediate)
  clearInterval(keepAlive)
  t.match(recorder.lines.at(-1), { fields: { suppressed: 2, of: 'step' } }, 'by itself')
})

t.test('messages that are all different take no memory without bound, and are bounded too', async t => {
  const { log, recorder } = create()
  for (let line = 0; line < 5_000; line++) log.info({}, `message ${line}`)
  t.equal(recorder.lines.length, 1_003)
})

t.test(
  'whoever asks whether a level is written hears what the log behind the limit says, children too',
  async t => {
    const recorder = createLogRecorder()
    const isLevelEnabled = (level: string) => level !== 'debug'
    const child = () => ({ ...recorder, isLevelEnabled })
    const { log } = limitLog({ ...recorder, isLevelEnabled, child }, 3, createFakeClock())
    for (const each of [log, log.child({})]) {
      t.equal(each.isLevelEnabled?.('debug'), false)
      t.equal(each.isLevelEnabled?.('error'), true)
    }
    t.equal(create().log.isLevelEnabled?.('debug'), true, 'a log that does not say wants everything')
  },
)
