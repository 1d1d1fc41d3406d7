/** POST /authenticate as it stands on the wire. */
export function loginRequest(username: string, password: string): Buffer {
  const body = JSON.stringify({ username, password })
  return Buffer.from(
    `POST /authenticate HTTP/1.1\r\nhost: gatehouse.example\r\ncontent-type: application/json\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
}
