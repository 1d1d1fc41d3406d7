import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { resolvePlugin } from '../../src/backends/registry.ts'
import { loadConfig } from '../../src/config/load.ts'
import { parseDays } from '../../src/config/quantity.ts'
import { restartKeys, withStarted } from '../../src/config/restart.ts'

async function load(t: Test, yaml: string) {
  const file = join(t.testdir(), 'gatehouse.yaml')
  writeFileSync(file, `${yaml}\nbackends: [{ id: local, type: local }]\n`)
  return (await loadConfig({ file, env: {}, resolvePlugin })).config
}

t.test('the trail is on, denies what it cannot write, and lies beside the database by its name', async t => {
  t.same((await load(t, '')).audit, {
    enabled: true,
    file: 'data/gatehouse-audit.db',
    names: 'known',
    onFailure: 'deny',
    retentionMs: 400 * 86_400_000,
  })
  for (const [database, file] of [
    ['/var/lib/gatehouse/two.sqlite', '/var/lib/gatehouse/two-audit.sqlite'],
    ['gatehouse', 'gatehouse-audit.db'],
  ]) {
    t.equal((await load(t, `database: ${database}`)).audit.file, file)
  }
  const given = 'audit: { file: /log/a.db, names: hash, on_failure: allow_and_alarm, retention: 7d }'
  t.match((await load(t, given)).audit, {
    file: '/log/a.db',
    names: 'hash',
    onFailure: 'allow_and_alarm',
    retentionMs: 604_800_000,
  })
})

t.test('days are whole, and neither none nor more than a trail will ever be old', async t => {
  t.equal(parseDays('1d'), 86_400_000)
  t.equal(parseDays('99999d'), 99_999 * 86_400_000)
  for (const text of ['0d', '1.5d', '100000d', '400', '12h', '']) t.equal(parseDays(text), undefined, text)
})

t.test('all of it waits for a restart', async t => {
  const started = await load(t, '')
  const wanted = await load(t, 'audit: { on_failure: allow_and_alarm }')
  t.same(restartKeys(started, wanted), ['audit'])
  t.same(restartKeys(started, withStarted(started, wanted)), [])
})
