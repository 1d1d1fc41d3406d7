/** What the schema cannot say of the lockout: bounds of sizes, what goes with what, and what has no effect. */
import { checkNetworks, type Ground } from './ground.ts'
import { isLoopback } from './network.ts'
import { keySpanOf, spanOf } from './places.ts'

/** In bytes. */
const LEAST_MEMORY = 1024 ** 2
const MOST_MEMORY = 16 * 1024 ** 3
/** As long as what HMAC-SHA-256 gives. */
const LEAST_SECRET_BYTES = 32
const LIMITS = ['max_attempts', 'window', 'duration', 'unfamiliar', 'familiar', 'source', 'subnet'] as const
const TLS = 'rediss:'

/** Reports every broken rule of `lockout` of which the values are sound. */
export function checkLockout(ground: Ground): void {
  checkNetworks(ground.values.lockout?.allow, '/lockout/allow', ground)
  checkNetworks(ground.values.lockout?.block, '/lockout/block', ground)
  checkProfile(ground)
  checkMemory(ground)
  checkSecret(ground)
  checkStore(ground)
  if (ground.sound('/lockout/redis') && ground.values.lockout.redis) checkRedis(ground)
}

function checkProfile({ values, places, report, sound }: Ground): void {
  if (!sound('/lockout/profile') || values.lockout.profile !== 'simple') return
  for (const key of LIMITS) {
    if (!places.has(`/lockout/${key}`)) continue
    report.warning(
      keySpanOf(places, `/lockout/${key}`),
      'this has no effect beside `profile: simple`',
      'remove it, or `profile: simple`',
    )
  }
}

function checkMemory({ values, places, report, sound }: Ground): void {
  if (!sound('/lockout/memory')) return
  const { memory } = values.lockout
  if (memory >= LEAST_MEMORY && memory <= MOST_MEMORY) return
  report.error(spanOf(places, '/lockout/memory'), 'expected a size from `1MiB` to `16GiB`')
}

function checkSecret({ values, places, report, sound }: Ground): void {
  if (!sound('/lockout/secret')) return
  const { secret } = values.lockout
  if (secret === undefined || Buffer.byteLength(secret.reveal()) >= LEAST_SECRET_BYTES) return
  report.error(
    spanOf(places, '/lockout/secret'),
    `expected at least ${LEAST_SECRET_BYTES} bytes`,
    'such as `openssl rand -base64 32` prints',
  )
}

function checkStore({ values, places, report, sound }: Ground): void {
  if (!sound('/lockout/store')) return
  const { store, redis, secret } = values.lockout
  if (store === 'memory') {
    for (const key of ['redis', 'on_store_failure']) {
      if (!places.has(`/lockout/${key}`)) continue
      const hint = 'set `store: redis`, or remove it'
      report.warning(keySpanOf(places, `/lockout/${key}`), 'this has no effect with `store: memory`', hint)
    }
    return
  }
  const at = spanOf(places, '/lockout/store')
  if (sound('/lockout/redis') && !redis) {
    report.error(at, '`store: redis` needs `redis`', 'such as `redis: { url: rediss://redis.example:6379 }`')
  }
  if (sound('/lockout/secret') && secret === undefined) {
    const hint = 'the same for every daemon that shares the store, such as `openssl rand -base64 32` prints'
    report.error(at, '`store: redis` needs `secret` or `secret_file`', hint)
  }
}

function checkRedis({ values, places, report, sound }: Ground): void {
  const { redis, store } = values.lockout
  if (redis === undefined) return
  const at = (key: string) => spanOf(places, `/lockout/redis/${key}`)
  if (redis.username !== undefined && redis.password === undefined) {
    report.error(at('username'), '`username` needs `password` or `password_file`')
  }
  if (sound('/deadline') && redis.timeout > values.deadline) {
    const hint = 'the deadline ends it first'
    report.warning(at('timeout'), 'longer than the `deadline` of a whole attempt', hint)
  }
  const url = readRedisUrl(redis.url)
  if ('fault' in url) {
    report.error(at('url'), url.fault, url.hint)
    return
  }
  if (redis.ca_file !== undefined && url.protocol !== TLS) {
    report.error(at('ca_file'), '`ca_file` needs a `rediss://` URL', 'without TLS nothing is verified')
  }
  if (store === 'redis' && url.protocol !== TLS && !isLoopback(url.host)) {
    const hint = 'use `rediss://`, unless a trusted network lies between'
    report.warning(at('url'), 'counts and the password of the store cross the network without TLS', hint)
  }
}

type RedisUrl =
  | { readonly protocol: string; readonly host: string }
  | { readonly fault: string; readonly hint: string }

function readRedisUrl(text: string): RedisUrl {
  // Also of one that is misspelled: a password with a slash in it is no URL.
  if (text.includes('@')) {
    return { fault: 'a Redis URL holds no credentials', hint: 'use `username` and `password_file`' }
  }
  const { protocol, hostname, pathname, search, hash } = URL.parse(text) ?? NOWHERE
  if (hostname === '' || !/^\/?$|^\/[0-9]{1,5}$/.test(pathname) || search !== '' || hash !== '') {
    const hint = 'behind it at most a port and a database: `rediss://redis.example:6379/0`'
    return { fault: 'expected `redis://host` or `rediss://host`', hint }
  }
  return { protocol, host: hostname.replace(/^\[(.*)\]$/, '$1') }
}

const NOWHERE = { protocol: '', hostname: '', pathname: '', search: '', hash: '' }
