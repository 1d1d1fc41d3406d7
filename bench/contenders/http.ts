/** Requests as they stand on the wire. */

/** `POST /authenticate` with a JSON object of both, as the daemon takes it. */
export function jsonLogin(username: string, password: string): Buffer {
  const body = JSON.stringify({ username, password })
  return Buffer.from(
    'POST /authenticate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n' +
      `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
}

/** RFC 7617. */
export function basicLogin(path: string, username: string, password: string): Buffer {
  const credentials = Buffer.from(`${username}:${password}`).toString('base64')
  return Buffer.from(`GET ${path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Basic ${credentials}\r\n\r\n`)
}
