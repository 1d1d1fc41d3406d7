/** The server of `lockout.store: redis`, as the daemon would use it. */
import type { RedisConfig } from '../../config/config.ts'
import type { RedisFact } from '../../lockout/redis/examine.ts'
import type { RedisFault, RedisFaultKind } from '../../lockout/redis/fault.ts'
import { redisAddress } from '../../lockout-store.ts'
import type { Finding } from '../../plugin.ts'

/** Never throws; takes seconds at most. */
export async function* examineLockoutStore(redis: RedisConfig): AsyncGenerator<Finding> {
  let address: ReturnType<typeof redisAddress>
  try {
    address = redisAddress(redis)
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error)
    yield { status: 'fail', check: 'certificate authorities', detail }
    return
  }
  // Only here: every command would load its library.
  const { examineRedis } = await import('../../lockout/redis/examine.ts')
  for await (const fact of examineRedis({ ...address, prefix: redis.prefix })) yield describe(fact, redis)
}

function describe(fact: RedisFact, { url, prefix, timeoutMs }: RedisConfig): Finding {
  switch (fact.fact) {
    case 'connection': {
      const tls = url.startsWith('rediss:') ? 'with TLS' : 'without TLS'
      const detail = `connected ${tls} and let in, in ${inMs(fact.tookMs)}`
      return { status: 'ok', check: `connection ${url}`, detail }
    }
    case 'no_connection':
      return failed(`connection ${url}`, fact.fault)
    case 'server': {
      const detail = `${fact.product} ${fact.version}`
      return fact.tooOld
        ? failing('server', `${detail}: too old`, 'Redis 6.2 or later is needed, or Valkey')
        : { status: 'ok', check: 'server', detail }
    }
    case 'memory':
      return describeMemory(fact)
    case 'append_only_file': {
      const detail = fact.kept
        ? 'it writes an append-only file, so a restart of it forgets next to nothing'
        : 'it writes no append-only file: a restart of it may forget counts and locks'
      return { status: 'ok', check: 'persistence', detail }
    }
    case 'silent': {
      const detail = `not known, so neither is its maxmemory-policy: ${fact.fault.message}`
      const advice = 'let the user of `lockout.redis` run INFO (`+info`), if this is to be looked at'
      return { status: 'warn', check: 'server', detail, advice }
    }
    case 'script':
      return describeRoundTrip(fact.roundTripMs, timeoutMs, prefix)
    case 'no_script':
      return failed(`script below ${prefix}`, fact.fault)
  }
}

function describeMemory({ limitBytes, policy }: RedisFact & { fact: 'memory' }): Finding {
  const check = 'maxmemory-policy'
  if (limitBytes === 0) return { status: 'ok', check, detail: `${policy}, without a limit of memory` }
  const detail = `${policy}, at ${Math.round(limitBytes / 1024 ** 2)} MiB`
  if (policy === 'noeviction') return { status: 'ok', check, detail }
  const advice = 'set `maxmemory-policy noeviction` there'
  return { status: 'warn', check, detail: `${detail}: it throws locks away when memory is short`, advice }
}

function describeRoundTrip(roundTripMs: number, timeoutMs: number, prefix: string): Finding {
  const check = `script below ${prefix}`
  const detail = `runs, each step in ${inMs(roundTripMs)} of the ${inMs(timeoutMs)} it may take`
  if (roundTripMs <= timeoutMs / 2) return { status: 'ok', check, detail }
  const advice = 'raise `lockout.redis.timeout`, or find out what is slow: the network, or the server'
  return roundTripMs < timeoutMs
    ? { status: 'warn', check, detail: `${detail}: on a bad day the store counts as away`, advice }
    : failing(check, `${detail}: the store counts as away`, advice)
}

function inMs(ms: number): string {
  return ms < 10 ? `${Number(ms.toFixed(1))} ms` : `${Math.round(ms)} ms`
}

function failing(check: string, detail: string, advice: string): Finding {
  return { status: 'fail', check, detail, advice }
}

function failed(check: string, { kind, message }: RedisFault): Finding {
  const [why, advice] = WHY[kind]
  const detail = why === '' ? message : `${why} (${message})`
  return failing(check, detail, advice)
}

const WHY: Readonly<Record<RedisFaultKind, readonly [why: string, advice: string]>> = {
  no_such_name: ['no such name is known', 'correct the host in `lockout.redis.url`, or the DNS'],
  refused: [
    'nothing listens there',
    'start the server, let it listen on more than loopback (`bind`), or correct `lockout.redis.url`',
  ],
  unreachable: [
    'there is no way to it',
    'look for the route and the firewall, or correct `lockout.redis.url`',
  ],
  timeout: [
    'no answer in time',
    'is a firewall in between, or does the server hang? Else correct `lockout.redis.url`: TLS wants `rediss://` and its port',
  ],
  untrusted_certificate: [
    'its certificate is by nobody we trust',
    'set `lockout.redis.ca_file` to the authority that issued it',
  ],
  certificate_of_another: [
    'its certificate is for another name',
    'use a name from the certificate in `lockout.redis.url`, or have one issued for this name',
  ],
  certificate_out_of_date: [
    'its certificate is out of date',
    'renew it on the server; is the time right here?',
  ],
  client_certificate: [
    'it wants a certificate from us, and we have none',
    'set `tls-auth-clients no` there: `lockout.redis.password_file` says who we are',
  ],
  no_tls: ['it does not speak TLS there', 'use the port for TLS in `lockout.redis.url`, or `redis://`'],
  hung_up: ['it hangs up', 'if its port is for TLS, write `rediss://` in `lockout.redis.url`'],
  wrong_password: [
    'user and password are refused',
    'correct `lockout.redis.password_file` or `lockout.redis.username`; is the user switched on (`ACL LIST`)?',
  ],
  password_missing: ['it wants a password', 'set `lockout.redis.password_file`'],
  no_password_there: [
    'it has no password, and we send one',
    'set `requirepass` there; or remove `lockout.redis.password_file`, if nobody else can reach it',
  ],
  not_allowed: [
    'the user may not do what the lockout does',
    'give the user of `lockout.redis.username` the keys below the prefix and the commands of `+@read +@write +@scripting +time +hello +auth`',
  ],
  no_such_database: ['it has no such database', 'correct the number at the end of `lockout.redis.url`'],
  protected: [
    'it takes nobody from outside',
    'set `requirepass` there, and `lockout.redis.password_file` here',
  ],
  too_old: ['too old, or no Redis', 'Redis 6.2 or later is needed, or Valkey'],
  loading: ['it is still reading its file', 'wait until it is done'],
  too_many_clients: ['it is full of connections', 'raise `maxclients` there, or find out who holds them'],
  read_only: ['it is a replica, which takes no counts', 'name the primary in `lockout.redis.url`'],
  out_of_memory: ['its memory is used up', 'raise `maxmemory` there'],
  cannot_save: ['it takes no writes, because it cannot save them', 'mend its disk; its own log tells why'],
  cluster: [
    'the keys belong to another node of its cluster',
    'name a server without a cluster in `lockout.redis.url`: the lockout does not follow to other nodes',
  ],
  other: ['', 'its own log may tell more; `lockout.redis` says where it is and who we are'],
}
