import { randomBytes } from 'node:crypto'
import { lookup } from 'node:dns/promises'
import { existsSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import type { Config } from '../config/config.ts'
import { isLoopback, isWildcard } from '../config/network.ts'
import { isProof, type Place } from '../http/admin-proof.ts'
import { adminTokenFile, readAdminToken } from '../http/admin-token.ts'
import { CommandFailure } from './failure.ts'

/** What the daemon answers an operator's command. */
export type DaemonAnswer =
  | { readonly daemon: 'answered'; readonly body: unknown }
  /** In words: why it is taken for not running. */
  | { readonly daemon: 'absent'; readonly reason: string }

const OTHER_DAEMON =
  'it may be the daemon of another configuration, or behind a forwarded port; --admin names the listener itself'

/** Above every deadline that the daemon keeps, in milliseconds. */
const ANSWER_MS = 60_000

/**
 * Asks the running daemon of this configuration, through its admin listener.
 *
 * @param url of the admin listener, where it is not the configuration's
 * @throws CommandFailure when there is a daemon and it does not do this
 */
export async function askDaemon(
  config: Pick<Config, 'admin' | 'database'>,
  path: string,
  body: object,
  url = adminUrl(config),
): Promise<DaemonAnswer> {
  const file = adminTokenFile(config.database)
  const token = readAdminToken(file)
  if (token === undefined) {
    if (!existsSync(file))
      return { daemon: 'absent', reason: `there is no ${file}, which a running daemon makes` }
    throw new CommandFailure(`${file} cannot be read: run this as the user that runs the daemon`)
  }
  // One address for both requests: a name may have several, and the next one may be somebody else's.
  const place = await find(url)
  if (!isOwn(place.address)) {
    throw new CommandFailure(
      `${url} is on another machine, and the admin listener speaks in clear: run this command there, or forward the port over SSH`,
    )
  }
  const origin = `http://${place.address.includes(':') ? `[${place.address}]` : place.address}:${place.port}`
  const nonce = randomBytes(32).toString('base64url')
  const greeting = await ask(new URL(`/admin/proof?nonce=${nonce}`, origin))
  if (greeting === undefined) return { daemon: 'absent', reason: `nothing answers on ${url}` }
  const said: unknown = await greeting.json().catch(() => undefined)
  const proof = typeof said === 'object' && said !== null && 'proof' in said ? said.proof : undefined
  if (!isProof(proof, token, nonce, place)) {
    throw new CommandFailure(
      `what answers on ${url} does not know ${file}, so nothing is told to it: ${OTHER_DAEMON}`,
    )
  }
  const response = await ask(new URL(path, origin), { token: token.reveal(), body })
  if (response === undefined) return { daemon: 'absent', reason: `nothing answers on ${url}` }
  const answer: unknown = await response.json().catch(() => undefined)
  if (response.ok) return { daemon: 'answered', body: answer }
  throw new CommandFailure(whyRefused(response.status, answer, url))
}

/** @returns undefined if nobody listens there */
async function ask(
  url: URL,
  order?: { readonly token: string; readonly body: object },
): Promise<Response | undefined> {
  try {
    return await fetch(url, {
      ...(order && {
        method: 'POST',
        headers: { authorization: `Bearer ${order.token}`, 'content-type': 'application/json' },
        body: JSON.stringify(order.body),
      }),
      // The token and a password go to this address and to no other.
      redirect: 'error',
      signal: AbortSignal.timeout(ANSWER_MS),
    })
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined
    if (cause instanceof Error && 'code' in cause && cause.code === 'ECONNREFUSED') return undefined
    const reason =
      cause instanceof Error ? cause.message : error instanceof Error ? error.message : String(error)
    throw new CommandFailure(`${url.origin} gives no answer: ${reason}`)
  }
}

function whyRefused(status: number, answer: unknown, url: string): string {
  const problem = typeof answer === 'object' && answer !== null ? answer : {}
  const code = 'code' in problem ? String(problem.code) : ''
  const errors = 'errors' in problem && Array.isArray(problem.errors) ? problem.errors : []
  const places = errors.map(({ pointer = '', detail = '' }) => `${pointer} ${detail}`.trim()).join('; ')
  return `the daemon on ${url} answers ${status}${code && ` ${code}`}${places && `: ${places}`}`
}

/**
 * What `--admin` says.
 *
 * @throws CommandFailure for what is no URL of an admin listener
 */
export function readAdminUrl(admin: string | undefined): string | undefined {
  if (admin === undefined || (URL.canParse(admin) && new URL(admin).protocol === 'http:')) return admin
  throw new CommandFailure(`--admin ${admin} is no URL such as http://127.0.0.1:8471`, 2)
}

/** Where the admin listener of this configuration can be reached from this machine. */
export function adminUrl({ admin: { host, port } }: Pick<Config, 'admin'>): string {
  const reachable = isWildcard(host) ? (host === '::' ? '::1' : '127.0.0.1') : host
  return `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`
}

/** An address of this machine: what is sent there crosses no network. */
function isOwn(address: string): boolean {
  const addresses = Object.values(networkInterfaces()).flatMap(each => each ?? [])
  return isLoopback(address) || addresses.some(each => each.address === address)
}

/** @throws CommandFailure for a name that has no address */
async function find(url: string): Promise<Place> {
  const { hostname, port } = new URL(url)
  try {
    const { address } = await lookup(hostname.replace(/^\[|\]$/g, ''))
    return { address, port: Number(port || 80) }
  } catch (error) {
    throw new CommandFailure(`${url}: ${error instanceof Error ? error.message : String(error)}`)
  }
}
