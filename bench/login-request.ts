import { createHash } from 'node:crypto'

/**
 * POST /authenticate as it stands on the wire. Each person comes from an address of their own, as people do: the lockout counts
 * both.
 *
 * @param address as a trusted proxy tells it
 */
export function loginRequest(username: string, password: string, address = addressFor(username)): Buffer {
  const body = JSON.stringify({ username, password })
  return Buffer.from(
    `POST /authenticate HTTP/1.1\r\nhost: gatehouse.example\r\ncontent-type: application/json\r\n` +
      `x-forwarded-for: ${address}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
}

/** One of 16 million, always the same for a name. */
export function addressFor(name: string): string {
  const [one, two, three] = createHash('sha1').update(name).digest()
  return `10.${one}.${two}.${three}`
}
