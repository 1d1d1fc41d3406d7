import type { Backend, BackendHealth, ServerHealth } from './backend.ts'
import { copyTexts, isRecord } from './outcome-shape.ts'
import { normaliseDomain, type Realm } from './username.ts'

const METHODS = ['authenticate', 'getUser', 'probe', 'close'] as const

/**
 * What a plugin made, as the backend that the configuration names: its own id is read once, and so is whose ids it issues, so
 * that no plugin can become another backend later.
 *
 * @throws {Error} on what is no backend, in words that follow "backend corp: "
 */
export function asBackend(made: unknown, id: string): Backend {
  if (!isRecord(made)) throw new Error('its plugin made no backend')
  for (const method of METHODS) {
    if (typeof made[method] !== 'function') throw new Error(`what its plugin made has no ${method}()`)
  }
  const { issuer, realm, look } = made
  if (made.id !== id) throw new Error('what its plugin made has another id')
  if (issuer !== undefined && typeof issuer !== 'string') {
    throw new Error('what its plugin made has an issuer that is no id')
  }
  const backend = made as unknown as Backend
  return Object.freeze({
    id,
    ...(issuer !== undefined && { issuer }),
    ...(realm !== undefined && { realm: readRealm(realm) }),
    authenticate: attempt => backend.authenticate(attempt),
    getUser: (stableId, signal) => backend.getUser(stableId, signal),
    probe: signal => backend.probe(signal),
    close: () => backend.close(),
    ...(look !== undefined && {
      look: async (...about: Parameters<NonNullable<Backend['look']>>) => {
        const answer = await backend.look?.(...about)
        if (answer === undefined) throw new TypeError('the answer is no look')
        return answer
      },
    }),
  } satisfies Backend)
}

function readRealm(realm: unknown): Realm {
  const { netbios, suffixes } = isRecord(realm) ? realm : {}
  const copied = copyTexts(suffixes)
  if (copied === undefined || (netbios !== undefined && typeof netbios !== 'string')) {
    throw new Error('what its plugin made has a realm that is none')
  }
  for (const domain of netbios === undefined ? copied : [netbios, ...copied]) normaliseDomain(domain)
  return { suffixes: copied, ...(netbios !== undefined && { netbios }) }
}

/**
 * What a probe answered, whatever it is. Only `ok: true` is a yes; servers that are none are left out.
 *
 * @throws whatever a hostile getter throws; the caller contains it
 */
export function readHealth(answer: unknown): BackendHealth {
  if (!isRecord(answer)) return { ok: false, reason: 'the answer to the probe is none' }
  const { ok, reason, servers } = answer
  const read = Array.isArray(servers)
    ? { servers: Array.from(servers, readServer).filter(server => server !== undefined) }
    : {}
  return ok === true ? { ok, ...read } : { ok: false, reason: readReason(reason), ...read }
}

function readReason(reason: unknown): string {
  return typeof reason === 'string' && reason !== '' ? reason : 'it does not say why'
}

function readServer(value: unknown): ServerHealth | undefined {
  if (!isRecord(value)) return undefined
  const { server, ok, reason, certificateExpiresAt: at } = value
  if (typeof server !== 'string') return undefined
  return {
    server,
    ok: ok === true,
    ...(typeof reason === 'string' && { reason }),
    // A number of milliseconds that no date has would throw where it is shown.
    ...(typeof at === 'number' && !Number.isNaN(new Date(at).getTime()) && { certificateExpiresAt: at }),
  }
}
