/** What is kept in Redis, and what is said of it. */
import { join } from 'node:path'
import t from 'tap'
import { startRedis } from '../support/redis.ts'
import { adoptCanary } from './canary.ts'
import { openHouse } from './house.ts'

t.test('neither passwords nor names are in Redis, and its own password is told to nobody', async t => {
  const redis = await startRedis(t)
  for (const refused of [false, true]) {
    const house = openHouse(t)
    if (!refused) house.add(adoptCanary('the Redis password', redis.password))
    const wrongRedis = house.canary('a Redis password that is refused')
    const [wrong, right, counting] = ['a wrong password', 'the right password', 'lockout.secret'].map(
      house.canary,
    )
    if (!wrong || !right || !counting) throw new Error('there are three')
    const listener = { host: '127.0.0.1', port: 0 }
    house.input('redis-password', refused ? wrongRedis.password : redis.password)
    house.input(
      'gatehouse.yaml',
      JSON.stringify({
        listen: listener,
        admin: listener,
        database: 'data/gatehouse.db',
        log: { level: 'debug', format: 'json' },
        lockout: {
          store: 'redis',
          secret: counting.core.repeat(2),
          redis: { url: redis.url, password_file: join(house.cwd, 'redis-password') },
        },
        backends: [{ id: 'local', type: 'local' }],
      }),
    )
    const added = await house.run(
      ['user', 'add', 'alice', '--password-stdin', '--config', house.config],
      right.password,
    )
    t.equal(added.code, 0, added.stderr)
    const daemon = await house.start()
    house.allow('data/gatehouse.db.admin-token')
    t.equal(await daemon.login('alice', right.password), 200)
    for (let guess = 1; guess <= 12; guess++) {
      // The last ones are of a name that is a password in the wrong box.
      await daemon.login(guess > 9 ? wrong.core : 'alice', `${wrong.password}-${guess}`)
    }
    t.match(daemon.replies(), / 429 /, 'and was locked')
    const keys = (await redis.command('KEYS', '*')) as string[]
    if (!refused) t.ok(keys.length > 2, `${keys.length} keys`)
    for (const key of keys) {
      const type = String(await redis.command('TYPE', key))
      const read: Record<string, string[]> = {
        hash: ['HGETALL', key],
        string: ['GET', key],
        zset: ['ZRANGE', key, '0', '-1', 'WITHSCORES'],
        set: ['SMEMBERS', key],
        list: ['LRANGE', key, '0', '-1'],
      }
      const content = await redis.command(...(read[type] ?? ['DUMP', key]))
      house.look(`${key} in Redis`, `${key} ${JSON.stringify(content)}`)
    }
    for (const path of ['/readyz', '/metrics']) {
      await daemon.ask({ method: 'GET', path, admin: true, headers: { 'content-length': '0' } })
    }
    await house.run(['doctor', '--json', '--config', house.config])
    house.holds(t)
    t.equal(await daemon.stop(), 0)
    house.holds(t)
  }
})
