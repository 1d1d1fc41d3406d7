/** Stands between a client and an ldaps server, and writes down what is asked: for servers whose log does not say. */
import { once } from 'node:events'
import { connect, createServer, type TLSSocket } from 'node:tls'
import type { CertificateAuthority } from './certificate-authority.ts'
import { decodeRequest, type LdapOperation, splitMessages } from './ldap-message.ts'
import type { TestScope } from './slapd.ts'

export interface LdapsListener {
  /** By localhost, which its certificate carries. */
  readonly url: string
  /** Everything that clients sent, in order. */
  readonly requests: readonly LdapOperation[]
}

/**
 * Listens on a free loopback port until the test ends.
 *
 * @param to host or address of the server behind, on port 636
 * @param authority signs the certificate shown to clients
 */
export async function startLdapsListener(
  t: TestScope,
  to: string,
  authority: CertificateAuthority,
): Promise<LdapsListener> {
  const requests: LdapOperation[] = []
  const open = new Set<TLSSocket>()
  const { cert, key } = await authority.issue()
  const listener = createServer({ cert, key }, client => {
    // Whom the tests trust is proved where the product connects to the server itself.
    const server = connect({ host: to, port: 636, rejectUnauthorized: false })
    let unread: Buffer = Buffer.alloc(0)
    client.on('data', (chunk: Buffer) => {
      const { messages, rest } = splitMessages(Buffer.concat([unread, chunk]))
      unread = rest
      requests.push(...messages.map(message => decodeRequest(message).operation))
    })
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      open.add(socket)
      socket.on('error', () => {})
      socket.once('close', () => {
        open.delete(socket)
        other.destroy()
      })
      socket.pipe(other)
    }
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  t.teardown(() => {
    listener.close()
    for (const socket of open) socket.destroy()
  })
  const address = listener.address()
  const port = typeof address === 'object' ? address?.port : undefined
  return { url: `ldaps://localhost:${port}`, requests }
}
