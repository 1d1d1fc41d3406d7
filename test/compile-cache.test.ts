import { execFile } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'

const MODULE = new URL('../src/compile-cache.ts', import.meta.url).href

/** Loads a module after `useCompileCache`, in a process of its own, and says where its compiled code goes. */
async function load(folder: string, env: Record<string, string> = {}): Promise<string> {
  writeFileSync(join(folder, 'loaded.mjs'), 'export const loaded = true\n')
  const script = `
    import { getCompileCacheDir } from 'node:module'
    import { useCompileCache } from ${JSON.stringify(MODULE)}
    useCompileCache(${JSON.stringify(join(folder, 'cache'))})
    await import(${JSON.stringify(join(folder, 'loaded.mjs'))})
    process.stdout.write(String(getCompileCacheDir()))`
  const { PATH = '' } = process.env
  const args = ['--input-type=module', '--eval', script]
  return (await promisify(execFile)(process.execPath, args, { env: { PATH, ...env } })).stdout
}

t.test(
  'compiled code is kept in a folder that nobody else may enter, from one process to the next',
  async t => {
    const folder = t.testdir()
    const cache = join(folder, 'cache')
    const first = await load(folder)
    t.ok(first.startsWith(cache), first)
    t.equal(statSync(cache).mode & 0o777, 0o700)
    const written = readdirSync(first)
    t.not(written.length, 0)
    t.equal(await load(folder), first)
    t.same(readdirSync(first), written)
  },
)

t.test('a folder that others may write to is not used: what is in it would be run', async t => {
  for (const mode of [0o770, 0o702]) {
    const folder = t.testdir()
    mkdirSync(join(folder, 'cache'))
    chmodSync(join(folder, 'cache'), mode)
    t.equal(await load(folder), 'undefined', mode.toString(8))
    t.same(readdirSync(join(folder, 'cache')), [])
  }
})

t.test('where there can be no folder, and where lines are counted, it does without', async t => {
  const folder = t.testdir({ cache: 'a file' })
  t.equal(await load(folder), 'undefined')
  const counted = t.testdir()
  t.equal(await load(counted, { NODE_V8_COVERAGE: join(counted, 'coverage') }), 'undefined')
  t.notOk(existsSync(join(counted, 'cache')))
})
