import { createHash, X509Certificate } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import type { Config, LoadedConfig } from '../../config/config.ts'
import { isLoopback } from '../../config/network.ts'
import type { Finding } from '../../plugin.ts'

const DAY_MS = 86_400_000
const SOON_DAYS = 30

/** What `check` would say, in the words of `doctor`. */
export function* examineConfig({ file, config, warnings }: LoadedConfig): Generator<Finding> {
  const asked = config.backends.filter(({ enabled }) => enabled).map(({ id }) => id)
  yield { status: 'ok', check: 'configuration', detail: `${file} is valid, asking ${asked.join(' → ')}` }
  for (const { line, message, hint } of warnings) {
    const check = `configuration ${file}${line === undefined ? '' : `:${line}`}`
    yield { status: 'warn', check, detail: message, ...(hint !== undefined && { advice: hint }) }
  }
}

/** Who may read secrets, and who may change whom we trust. */
export function* examineFiles({ file, config, origins }: LoadedConfig): Generator<Finding> {
  yield* examineMode(file, 'configuration file', 0o022, 'others may change it', 'chmod go-w')
  const secrets = [...origins.values()].flatMap(origin =>
    origin.from === 'secret_file' ? [origin.path] : [],
  )
  const keys = config.listen.tls === undefined ? [] : [config.listen.tls.keyFile]
  for (const path of new Set([...secrets, ...keys])) {
    yield* examineMode(path, 'secret file', 0o077, 'others may read it', 'chmod 600')
  }
  if (config.listen.tls !== undefined) yield examineOwnCertificate(config.listen.tls.certFile)
}

function* examineMode(
  path: string,
  what: string,
  mask: number,
  risk: string,
  cure: string,
): Generator<Finding> {
  const check = `${what} ${path}`
  try {
    const mode = statSync(path).mode & 0o777
    const octal = mode.toString(8).padStart(3, '0')
    yield (mode & mask) === 0
      ? { status: 'ok', check, detail: `mode ${octal}` }
      : { status: 'warn', check, detail: `mode ${octal}: ${risk}`, advice: `${cure} ${path}` }
  } catch (error) {
    yield { status: 'fail', check, detail: error instanceof Error ? error.message : String(error) }
  }
}

function examineOwnCertificate(path: string): Finding {
  const check = `our certificate ${path}`
  try {
    const { validToDate, subjectAltName = 'nobody' } = new X509Certificate(readFileSync(path))
    const days = Math.floor((validToDate.getTime() - Date.now()) / DAY_MS)
    const detail = `for ${subjectAltName}, until ${validToDate.toISOString()}`
    if (days < 0) return { status: 'fail', check, detail: `${detail}: it has expired`, advice: 'renew it' }
    return days < SOON_DAYS
      ? { status: 'warn', check, detail: `${detail}: ${days} days are left`, advice: 'renew it' }
      : { status: 'ok', check, detail }
  } catch (error) {
    return { status: 'fail', check, detail: error instanceof Error ? error.message : String(error) }
  }
}

/** What nobody should have taken for a key: it is the first that somebody tries. */
const GUESSABLE = ['', 'changeme', 'change-me', 'secret', 'password', 'test', 'key', 'gatehouse']

export function* examineClients({ clients, listen, allowAnonymousClients }: Config): Generator<Finding> {
  const check = 'clients'
  if (clients.length === 0) {
    const local = isLoopback(listen.host)
    yield local || !allowAnonymousClients
      ? { status: 'ok', check, detail: 'none are listed: every program on this machine may call' }
      : {
          status: 'warn',
          check,
          detail: `everybody who can reach ${listen.host} may try passwords`,
          advice: 'list the apps under `clients`; `gatehouse client add` makes a key',
        }
    return
  }
  const seen = new Map<string, string>()
  for (const { id, identity } of clients) {
    const name = `client ${id}`
    if (identity.by === 'cidr' && /\/0$/.test(identity.cidr)) {
      const detail = `${identity.cidr} is everybody`
      yield { status: 'warn', check: name, detail, advice: 'name the network of the app, or give it a key' }
    }
    if (identity.by !== 'key') continue
    const guessed = [...GUESSABLE, id].find(
      key => createHash('sha256').update(key).digest('hex') === identity.sha256,
    )
    const twin = seen.get(identity.sha256)
    seen.set(identity.sha256, id)
    if (guessed !== undefined) {
      const advice = `make a new one with \`gatehouse client add ${id}\``
      yield { status: 'fail', check: name, detail: 'its key is one that everybody would guess', advice }
    } else if (twin !== undefined) {
      const advice = 'give each its own, so that one can be revoked'
      yield { status: 'warn', check: name, detail: `it has the same key as ${twin}`, advice }
    }
  }
  yield { status: 'ok', check, detail: `${clients.length} may call` }
}
