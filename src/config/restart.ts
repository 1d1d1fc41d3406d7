/** What only a restart can apply: sockets, files, the audit trail, the table and the store of the counts exist once. */
import type { Secret } from '../plugin.ts'
import type { Config, LockoutConfig, RedisConfig } from './config.ts'

const SECTIONS = ['listen', 'admin', 'database', 'audit', 'log'] as const

/** Keys, in the words of the YAML, that differ from what the daemon started with and wait for a restart. */
export function restartKeys(started: Config, wanted: Config): string[] {
  const sections = SECTIONS.filter(key => JSON.stringify(started[key]) !== JSON.stringify(wanted[key]))
  const [was, is] = [started.lockout, wanted.lockout]
  const storage = {
    memory: was.memoryBytes === is.memoryBytes,
    store: was.store === is.store,
    redis: isSameRedis(was.redis, is.redis),
    on_store_failure: was.onStoreFailure === is.onStoreFailure,
    secret: isSameSecret(was.secret, is.secret),
  }
  const changed = Object.entries(storage).flatMap(([key, same]) => (same ? [] : [`lockout.${key}`]))
  return [...sections, ...changed]
}

/** What is wanted, with everything that waits for a restart as the daemon started. */
export function withStarted(started: Config, wanted: Config): Config {
  const { listen, admin, database, audit, log } = started
  return {
    ...wanted,
    listen,
    admin,
    database,
    audit,
    log,
    lockout: withStorage(wanted.lockout, started.lockout),
  }
}

function withStorage(wanted: LockoutConfig, started: LockoutConfig): LockoutConfig {
  const { store: _store, redis: _redis, secret: _secret, ...rules } = wanted
  const { memoryBytes, onStoreFailure, secret } = started
  const kept = { ...rules, memoryBytes, onStoreFailure }
  return started.store === 'redis'
    ? { ...kept, store: started.store, redis: started.redis, secret: started.secret }
    : { ...kept, store: started.store, ...(secret && { secret }) }
}

/** The text of a secret is always the same, so secrets are compared by themselves. */
function isSameRedis(one: RedisConfig | undefined, other: RedisConfig | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other) && isSameSecret(one?.password, other?.password)
}

function isSameSecret(one: Secret | undefined, other: Secret | undefined): boolean {
  return one?.reveal() === other?.reveal()
}
