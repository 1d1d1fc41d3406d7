/** One request and its reply, over a connection of its own: whether a server is there, and what it says. Not for speed. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'
import type { Protocol } from '../native.ts'

/** How long a server may think before the question counts as not answered. */
const PATIENCE_MS = 2_000

/**
 * The kind of its reply, as native/exchange.c tells kinds.
 *
 * @throws Error when nobody is there, or nothing comes within two seconds
 */
export async function ask(protocol: Protocol, address: string, request: Uint8Array): Promise<string> {
  const signal = AbortSignal.timeout(PATIENCE_MS)
  if (protocol === 'octet') return askInOctets(address, request, signal)
  const socket = dial(address)
  try {
    await once(socket, 'connect', { signal })
    if (protocol === 'http') {
      socket.write(request)
      return (await readUntil(socket, /^HTTP\/1\.1 (\d{3}) .*?\r\n\r\n/s, signal))[1] ?? ''
    }
    socket.write('VERSION\t1\t2\nCPID\t2\n')
    await readUntil(socket, /\nDONE\n/, signal)
    socket.write(request)
    return (await readUntil(socket, /^([^\t\n]*).*\n/, signal))[1] ?? ''
  } finally {
    socket.destroy()
  }
}

function dial(address: string): Socket {
  return address.startsWith('/') ? createConnection(address) : createConnection(portOf(address), '127.0.0.1')
}

function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1))
}

async function readUntil(socket: Socket, pattern: RegExp, signal: AbortSignal): Promise<RegExpExecArray> {
  let text = ''
  for (;;) {
    const match = pattern.exec(text)
    if (match !== null) return match
    const [chunk] = await Promise.race([
      once(socket, 'data', { signal }),
      once(socket, 'close', { signal }).then(() => {
        throw new Error(`the connection ended after ${JSON.stringify(text)}`)
      }),
    ])
    text += String(chunk)
  }
}

async function askInOctets(address: string, request: Uint8Array, signal: AbortSignal): Promise<string> {
  const socket = createSocket('udp4')
  try {
    socket.connect(portOf(address), '127.0.0.1')
    await once(socket, 'connect', { signal })
    socket.send(request)
    const [reply] = await once(socket, 'message', { signal })
    return String((reply as Buffer)[0])
  } finally {
    socket.close()
  }
}
