import t from 'tap'
import { lazyChild } from '../../src/authentication/lazy-child.ts'
import type { Log } from '../../src/authentication/log.ts'

function recorder() {
  const said: object[] = []
  let children = 0
  const make = (bound: object): Log => {
    const write = (level: string) => (given: object, message: string) =>
      void said.push({ level, ...bound, ...given, message })
    return {
      debug: write('debug'),
      info: write('info'),
      warn: write('warn'),
      error: write('error'),
      fatal: write('fatal'),
      isLevelEnabled: level => level !== 'debug',
      child(fields) {
        children++
        return make({ ...bound, ...fields })
      },
    }
  }
  return { log: make({}), said, children: () => children }
}

t.test('makes no child before something is said, and then one with all its fields', async t => {
  const { log, said, children } = recorder()
  const child = lazyChild(log, { request_id: 'r' }).child({ backend: 'ad' })
  t.equal(child.isLevelEnabled?.('debug'), false)
  t.equal(child.isLevelEnabled?.('info'), true)
  t.equal(children(), 0)
  for (const level of ['debug', 'info', 'warn', 'error', 'fatal'] as const) child[level]({ n: 1 }, 'said')
  t.equal(children(), 1)
  t.equal(said.length, 5)
  t.same(said[3], { level: 'error', request_id: 'r', backend: 'ad', n: 1, message: 'said' })
})
