/** The section `lockout` in the words of the code. */
import type { LockoutConfig, LockoutLimit, LockoutStorage, RedisConfig } from './config.ts'
import { canonicalCidr } from './network.ts'
import type { ConfigValues } from './schema.ts'

type Values = ConfigValues['lockout']

/** The lockout of sound values. */
export function toLockout(values: Values): LockoutConfig {
  const { unfamiliar, source } = values
  return {
    mode: values.mode,
    profile: values.profile,
    ...toLimit(values),
    unfamiliar: {
      maxAttempts: unfamiliar.max_attempts,
      windowMs: unfamiliar.window,
      durationsMs: unfamiliar.durations,
    },
    familiar: toLimit(values.familiar),
    source: { ...toLimit(source), accounts: source.accounts },
    subnet: toLimit(values.subnet),
    allow: values.allow.map(canonicalCidr),
    block: values.block.map(canonicalCidr),
    disclosure: values.disclosure,
    ...toStorage(values),
  }
}

function toLimit(limit: { max_attempts: number; window: number; duration: number }): LockoutLimit {
  return { maxAttempts: limit.max_attempts, windowMs: limit.window, durationMs: limit.duration }
}

function toStorage({ memory, on_store_failure, store, redis, secret }: Values): LockoutStorage {
  const common = { memoryBytes: memory, onStoreFailure: on_store_failure }
  if (store === 'memory') return { ...common, store, ...(secret && { secret }) }
  if (!redis || !secret) throw new Error('a store without its server or secret is not sound')
  return { ...common, store, redis: toRedis(redis), secret }
}

function toRedis(redis: NonNullable<Values['redis']>): RedisConfig {
  const { url, username, password, ca_file, prefix, timeout, replicas } = redis
  return {
    url,
    ...(username !== undefined && { username }),
    ...(password && { password }),
    ...(ca_file !== undefined && { caFile: ca_file }),
    prefix,
    timeoutMs: timeout,
    replicas,
  }
}
