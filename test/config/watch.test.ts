import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createFileWatch } from '../../src/config/watch.ts'
import { createLogRecorder } from '../support/log-recorder.ts'

/** Changes of files are noticed, whatever way they come about. */

// A watch keeps no process alive, as the listeners of a daemon do.
const alive = setInterval(() => {}, 1_000)
t.teardown(() => clearInterval(alive))

interface Watched {
  /** Resolves with the next change that nobody has waited for yet. */
  changed(): Promise<void>
  changes(): number
  /** What a load reads. */
  load(...paths: string[]): Promise<string[]>
}

/** Looks are quick here, and without a tell-tale the files are looked at only by chance: after an hour. */
async function watchWhatIsRead(
  t: Test,
  paths: string[],
  { settleMs = 20, everyMs = 3_600_000 } = {},
): Promise<Watched> {
  const watch = createFileWatch({ settleMs, everyMs })
  const waiting: (() => void)[] = []
  let [seen, heard] = [0, 0]
  const load = (...read: string[]) =>
    watch.during(async readFile => {
      const contents = read.map(path =>
        readFile(path).then(({ bytes }) => Buffer.from(bytes).toString(), String),
      )
      return Promise.all(contents)
    })
  await load(...paths)
  watch.start(() => {
    seen++
    void load(...paths).then(() => waiting.shift()?.())
  }, createLogRecorder())
  t.teardown(watch.stop)
  return {
    load,
    changes: () => seen,
    changed() {
      heard++
      return new Promise(resolve => (seen >= heard ? resolve() : waiting.push(resolve)))
    },
  }
}

t.test('a write in place, a rename over it, a deletion and a return', async t => {
  const file = join(t.testdir({ 'a.yaml': 'one' }), 'a.yaml')
  const watched = await watchWhatIsRead(t, [file])
  writeFileSync(file, 'two')
  await watched.changed()
  writeFileSync(`${file}.new`, 'three')
  renameSync(`${file}.new`, file)
  await watched.changed()
  rmSync(file)
  await watched.changed()
  writeFileSync(file, 'four')
  await watched.changed()
  t.strictSame(await watched.load(file), ['four'])
})

t.test('the swap of a link in the folder, as Kubernetes does it, and of a file behind a link', async t => {
  const folder = t.testdir({ v1: { 'a.yaml': 'one' }, v2: { 'a.yaml': 'two' }, elsewhere: { 'b.yaml': 'b' } })
  symlinkSync('v1', join(folder, '..data'))
  symlinkSync(join('..data', 'a.yaml'), join(folder, 'a.yaml'))
  symlinkSync(join('elsewhere', 'b.yaml'), join(folder, 'b.yaml'))
  const [a, b] = [join(folder, 'a.yaml'), join(folder, 'b.yaml')]
  const watched = await watchWhatIsRead(t, [a, b])
  symlinkSync('v2', join(folder, '..data_tmp'))
  renameSync(join(folder, '..data_tmp'), join(folder, '..data'))
  await watched.changed()
  t.strictSame(await watched.load(a), ['two'])
  await watched.load(a, b)
  writeFileSync(join(folder, 'elsewhere', 'b.yaml'), 'B')
  await watched.changed()
  t.pass('both were noticed')
})

t.test('a file that is still being written is left alone until it is settled', async t => {
  const file = join(t.testdir({ 'a.yaml': 'whole' }), 'a.yaml')
  const watched = await watchWhatIsRead(t, [file], { settleMs: 400 })
  for (let part = 1; part <= 20; part++) {
    writeFileSync(file, 'x'.repeat(part))
    await new Promise(resolve => setTimeout(resolve, 5))
  }
  await watched.changed()
  t.strictSame(await watched.load(file), ['x'.repeat(20)])
  t.equal(watched.changes(), 1, 'it was not read at every write')
})

t.test('what happens beside the files, or leaves them as they were, is no change', async t => {
  const folder = t.testdir({ 'a.yaml': 'one', 'b.yaml': 'one' })
  const [file, other] = [join(folder, 'a.yaml'), join(folder, 'b.yaml')]
  const watched = await watchWhatIsRead(t, [file, other])
  for (let i = 0; i < 5; i++) writeFileSync(join(folder, 'noise'), String(i))
  writeFileSync(file, 'two')
  writeFileSync(file, 'one')
  writeFileSync(other, 'two')
  await watched.changed()
  t.equal(watched.changes(), 1, 'the one real change, once')
})

t.test('a folder that comes later, or that tells nothing, is found by looking', async t => {
  const folder = t.testdir()
  const file = join(folder, 'later', 'a.yaml')
  const watched = await watchWhatIsRead(t, [file], { everyMs: 50 })
  mkdirSync(join(folder, 'later'))
  writeFileSync(file, 'there')
  await watched.changed()
  t.strictSame(await watched.load(file), ['there'])
})

t.test('a change between the load and the watching is noticed', async t => {
  const file = join(t.testdir({ 'a.yaml': 'one' }), 'a.yaml')
  const watch = createFileWatch({ settleMs: 10 })
  t.teardown(watch.stop)
  await watch.during(readFile => readFile(file))
  writeFileSync(file, 'two')
  await new Promise<void>(resolve => watch.start(resolve, createLogRecorder()))
  t.pass('told')
})
