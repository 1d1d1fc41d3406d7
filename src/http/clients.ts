/** Which app calls (api.md, Who may call). */
import { hash, timingSafeEqual } from 'node:crypto'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { Caller } from '../authentication/caller.ts'
import { type AddressRange, inRange, parseRange } from './address.ts'

export type Permission = 'assert_client_ip' | 'reveal_account_state'

export type ClientCredential =
  /** SHA-256 of the API key in hexadecimal. */
  | { readonly kind: 'key'; readonly sha256: string }
  /** As `certificateSubject` writes it. */
  | { readonly kind: 'tls'; readonly subject: string }
  /**
   * Where the app calls from: its own address, also through a trusted proxy, which vouches for the address it saw. The
   * proxy's own address would make every app behind it one and the same.
   */
  | { readonly kind: 'cidr'; readonly cidr: string }

/** An app that may call. */
export interface Client extends Caller {
  readonly credential: ClientCredential
  readonly may: ReadonlySet<Permission>
  /** So many requests in so many milliseconds; undefined means no limit of its own. */
  readonly rateLimit?: { readonly max: number; readonly perMs: number }
}

/** What somebody calls with. */
export interface Presented {
  /** The `Authorization` header. */
  readonly authorization: string | undefined
  readonly certificateSubject: string | undefined
  /** `callerAddress` */
  readonly address: string
}

export type KnownClient = Omit<Client, 'credential'>
export type Identify = (presented: Presented) => KnownClient | undefined

/** Without any `clients:` everybody who can connect is this one, which may nothing special. */
const ANONYMOUS: KnownClient = { id: 'anonymous', may: new Set(), requiredGroups: [] }

interface Key {
  /** SHA-256 in lower-case hexadecimal, as text. */
  readonly digest: Buffer
  readonly client: Client
}

/** RFC 6750 section 2.1; the scheme in any case (RFC 9110 section 11.1). */
const BEARER = /^bearer +([A-Za-z0-9._~+/-]{1,512}={0,2})$/i

/**
 * Makes the one function that recognises an app. What is presented decides alone, the strongest first: an
 * `Authorization` header, then a verified certificate, then the address. So a revoked key does not live on because its
 * app calls from a listed network. Of several networks the smallest decides.
 *
 * @throws Error for a digest that is not SHA-256 in hexadecimal or a network that is none
 */
export function createIdentify(clients: readonly Client[] | 'anonymous'): Identify {
  if (clients === 'anonymous') return () => ANONYMOUS

  const keys: Key[] = []
  const subjects = new Map<string, Client>()
  const networks: { readonly range: AddressRange; readonly client: Client }[] = []
  for (const client of clients) {
    const { credential } = client
    switch (credential.kind) {
      case 'key':
        keys.push({ digest: readDigest(credential.sha256), client })
        break
      case 'tls':
        subjects.set(credential.subject, client)
        break
      case 'cidr':
        networks.push({ range: parseRange(credential.cidr), client })
        break
    }
  }
  networks.sort((a, b) => b.range[1] - a.range[1])

  return ({ authorization, certificateSubject, address }) => {
    if (authorization !== undefined) return findByKey(keys, authorization)
    if (certificateSubject !== undefined) return subjects.get(certificateSubject)
    return networks.find(({ range }) => inRange(address, range))?.client
  }
}

/** Compares with every key in constant time, so that the time tells nothing about any of them (security.md S34). */
function findByKey(keys: readonly Key[], authorization: string): Client | undefined {
  const key = BEARER.exec(authorization)?.[1]
  if (key === undefined) return undefined
  const digest = Buffer.from(hash('sha256', key, 'hex'))
  let found: Client | undefined
  for (const candidate of keys) if (timingSafeEqual(candidate.digest, digest)) found = candidate.client
  return found
}

function readDigest(sha256: string): Buffer {
  if (!/^[0-9a-f]{64}$/i.test(sha256)) throw new Error('a key is given by its SHA-256 in hexadecimal')
  return Buffer.from(sha256.toLowerCase())
}

/** Asking OpenSSL for a certificate costs, and a connection never changes its own. */
const subjectOf = new WeakMap<Socket, string | undefined>()

/**
 * The subject of the certificate that the other side proved to have, if a configured CA vouches for it: RFC 4514 text,
 * the same that `openssl x509 -noout -subject -nameopt RFC2253,-esc_msb` prints.
 */
export function certificateSubject(socket: Socket): string | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined
  if (!subjectOf.has(socket)) {
    // One relative name a line, the most general first; RFC 4514 section 2.1 wants the reverse.
    const lines = socket.getPeerX509Certificate()?.subject?.split('\n')
    subjectOf.set(socket, lines?.reverse().join(','))
  }
  return subjectOf.get(socket)
}
