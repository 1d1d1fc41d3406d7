import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { systemBoot } from '../../src/lockout/boot.ts'

const script = `
  import { systemBoot } from ${JSON.stringify(join(import.meta.dirname, '../../src/lockout/boot.ts'))}
  console.log(JSON.stringify([systemBoot.id, systemBoot.nowMs()]))`

t.test('all processes of one boot have the same id and the same clock', async t => {
  const before = systemBoot.nowMs()
  const [id, nowMs] = JSON.parse(
    execFileSync(process.execPath, ['--input-type=module', '--eval', script], { encoding: 'utf8', env: {} }),
  )
  t.ok(before < nowMs && nowMs < systemBoot.nowMs(), `${before} < ${nowMs}`)
  t.equal(id, systemBoot.id)
  if (process.platform === 'linux') t.match(id, /^[0-9a-f-]{36}$/)
})
