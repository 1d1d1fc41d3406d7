import t, { type Test } from 'tap'
import { UnavailableError } from '../../src/authentication/outcome.ts'
import { createWorkerPool } from '../../src/passwords/worker-pool.ts'

/** Faults that a real hash never gives on demand come from a scripted worker. */

interface Job {
  do: 'echo' | 'throw' | 'exit' | 'wait'
  until?: Int32Array
  say?: string
}

const script = new URL('./scripted-worker.ts', import.meta.url)

function pool(t: Test, options: { threads?: number; queueLimit?: number; script?: URL } = {}) {
  const { threads = 1, queueLimit = 2 } = options
  const created = createWorkerPool<Job, { say?: string; seen: number }>(options.script ?? script, {
    threads,
    queueLimit,
  })
  t.teardown(created.close)
  return created
}

function gate(): { closed: Int32Array; open: () => void } {
  const closed = new Int32Array(new SharedArrayBuffer(4))
  return {
    closed,
    open: () => {
      Atomics.store(closed, 0, 1)
      Atomics.notify(closed, 0)
    },
  }
}

const unavailable = { name: 'UnavailableError', phase: 'hash' }

t.test('each job gets its own answer, in the order of arrival', async t => {
  const { run } = pool(t, { queueLimit: 10 })
  const answers = await Promise.all(['a', 'b', 'c', 'd'].map(say => run({ do: 'echo', say })))
  t.strictSame(
    answers,
    ['a', 'b', 'c', 'd'].map((say, index) => ({ say, seen: index + 1 })),
    'by one thread, started once',
  )
})

t.test('a job too many is refused before anything is computed, and the others are not harmed', async t => {
  const { run } = pool(t)
  const { closed, open } = gate()
  const running = run({ do: 'wait', until: closed })
  const waiting = [run({ do: 'echo', say: '1' }), run({ do: 'echo', say: '2' })]
  await t.rejects(run({ do: 'echo', say: 'too many' }), unavailable)
  open()
  await running
  t.strictSame(await Promise.all(waiting), [
    { say: '1', seen: 2 },
    { say: '2', seen: 3 },
  ])
  t.match(await run({ do: 'echo', say: 'later' }), { say: 'later', seen: 4 }, 'there is room again')
})

t.test('a job whose time was up while it waited is never computed', async t => {
  const { run } = pool(t)
  const { closed, open } = gate()
  const running = run({ do: 'wait', until: closed })
  const controller = new AbortController()
  const late = run({ do: 'echo' }, controller.signal)
  late.catch(() => {})
  controller.abort()
  open()
  await running
  await t.rejects(late, unavailable)
  t.match(await run({ do: 'echo' }), { seen: 2 })
  await t.rejects(run({ do: 'echo' }, AbortSignal.abort()), unavailable, 'nor one that came too late')
  t.match(await run({ do: 'echo' }), { seen: 3 })
})

t.test('abandoned jobs make room in a full queue', async t => {
  const { run } = pool(t)
  const { closed, open } = gate()
  const running = run({ do: 'wait', until: closed })
  const controller = new AbortController()
  const abandoned = [run({ do: 'echo' }, controller.signal), run({ do: 'echo' }, controller.signal)]
  controller.abort()
  const next = run({ do: 'echo', say: 'next' })
  for (const job of abandoned) await t.rejects(job, unavailable)
  open()
  await running
  t.match(await next, { say: 'next', seen: 2 })
})

for (const death of ['throw', 'exit'] as const) {
  t.test(`a thread that dies (${death}) takes its own job along and is replaced`, async t => {
    const { run } = pool(t)
    const dying = run({ do: death })
    const waiting = run({ do: 'echo', say: 'still here' })
    await t.rejects(dying, unavailable)
    t.strictSame(await waiting, { say: 'still here', seen: 1 }, 'by a new thread')
  })
}

t.test('a thread that dies beside another leaves that one its work', async t => {
  const { run } = pool(t, { threads: 2 })
  const { closed, open } = gate()
  const waiting = run({ do: 'wait', until: closed })
  await t.rejects(run({ do: 'exit' }), unavailable)
  open()
  await waiting
  t.match(await Promise.all([run({ do: 'echo' }), run({ do: 'echo' })]), [{ seen: 2 }, { seen: 1 }])
})

t.test('a worker that cannot even start rejects each job and loops nowhere', async t => {
  const { run } = pool(t, { script: new URL('./no-such-worker.ts', import.meta.url) })
  await t.rejects(run({ do: 'echo' }), unavailable)
  const [first, second] = await Promise.allSettled([run({ do: 'echo' }), run({ do: 'echo' })])
  t.match([first, second], [{ reason: UnavailableError }, { reason: UnavailableError }])
})

t.test('closing rejects what is under way and what waits, and may be done twice', async t => {
  const { run, close } = pool(t)
  const jobs = [run({ do: 'wait', until: gate().closed }), run({ do: 'echo' })]
  const settled = Promise.allSettled(jobs)
  await close()
  for (const job of await settled) t.match(job, { status: 'rejected', reason: unavailable })
  await close()
  await t.rejects(run({ do: 'echo' }), unavailable, 'and nothing runs afterwards')
})
