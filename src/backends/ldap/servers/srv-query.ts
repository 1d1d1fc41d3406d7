/**
 * SRV questions that Node.js cannot read the answers to. c-ares since 1.34.7 refuses answers whose targets are compressed.
 * RFC 2782 forbids to send such, but RFC 3597 section 4 has receivers read them, and Samba's domain controllers and some
 * proxies send them. So there the same name servers are asked once more, and the answer is read with dns-packet.
 */
import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import type { SrvRecord } from 'node:dns'
import { once } from 'node:events'
import { connect, isIPv6 } from 'node:net'
import { decode, encode, RECURSION_DESIRED, TRUNCATED_RESPONSE } from 'dns-packet'

interface SrvResolver {
  resolveSrv(name: string): Promise<SrvRecord[]>
}

interface NameServers extends SrvResolver {
  /** `address`, or `address:port` with IPv6 in brackets. */
  getServers(): string[]
}

/** Where the question starts (RFC 1035 section 4.1.1). */
const HEADER_OCTETS = 12
const RESPONSE = 0x8000
/** What one name server has to answer, in milliseconds. */
const TIMEOUT_MS = 1_000

/** The given resolver, that reads answers with compressed targets, too. */
export function readingCompressed(resolver: NameServers): SrvResolver {
  return {
    async resolveSrv(name) {
      try {
        return await resolver.resolveSrv(name)
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'EBADRESP')) throw error
        return await askEach(name, resolver.getServers(), error)
      }
    },
  }
}

async function askEach(name: string, servers: readonly string[], cause: Error): Promise<SrvRecord[]> {
  let failure: unknown = cause
  for (const server of servers) {
    try {
      return await ask(name, server)
    } catch (error) {
      if (error instanceof DnsAnswer) throw error
      failure = error
    }
  }
  throw failure
}

/** The name server's own word that there is nothing, with the code that Node.js has for it. */
class DnsAnswer extends Error {
  readonly code: 'ENOTFOUND' | 'ENODATA'

  constructor(code: 'ENOTFOUND' | 'ENODATA', name: string) {
    super(`querySrv ${code} ${name}`)
    this.code = code
  }
}

async function ask(name: string, server: string): Promise<SrvRecord[]> {
  const query = encode({
    type: 'query',
    id: randomInt(0x10000),
    flags: RECURSION_DESIRED,
    questions: [{ type: 'SRV', name }],
  })
  const { host, port } = addressOf(server)
  const signal = AbortSignal.timeout(TIMEOUT_MS)
  const answer = await overUdp(query, host, port, signal)
  const whole =
    answer.readUInt16BE(2) & TRUNCATED_RESPONSE ? await overTcp(query, host, port, signal) : answer
  return readAnswer(whole, name)
}

async function overUdp(query: Buffer, host: string, port: number, signal: AbortSignal): Promise<Buffer> {
  const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4')
  try {
    // Connected: the system lets nobody else's answers through.
    socket.connect(port, host)
    await once(socket, 'connect', { signal })
    socket.send(query)
    for (;;) {
      const [message] = await once(socket, 'message', { signal })
      if (answers(message, query)) return message
    }
  } finally {
    socket.close()
  }
}

async function overTcp(query: Buffer, host: string, port: number, signal: AbortSignal): Promise<Buffer> {
  const length = Buffer.alloc(2)
  length.writeUInt16BE(query.length)
  const socket = connect({ host, port, signal })
  try {
    socket.write(Buffer.concat([length, query]))
    let received = Buffer.alloc(0)
    for await (const chunk of socket) {
      received = Buffer.concat([received, chunk])
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) continue
      const message = received.subarray(2, 2 + received.readUInt16BE(0))
      if (answers(message, query)) return message
      break
    }
    throw new Error(`the name server ${host} gives no answer over TCP`)
  } finally {
    socket.destroy()
  }
}

/** The number and the question are ours: nobody who does not see the query could have written it. */
function answers(message: Buffer, query: Buffer): boolean {
  if (message.length < query.length || !(message.readUInt16BE(2) & RESPONSE)) return false
  const asked = (from: Buffer) => from.subarray(HEADER_OCTETS, query.length).toString('latin1').toLowerCase()
  return message.readUInt16BE(0) === query.readUInt16BE(0) && asked(message) === asked(query)
}

/** @throws {Error} on a message that cannot be read, or that says there is nothing */
function readAnswer(message: Buffer, name: string): SrvRecord[] {
  const { answers = [], rcode } = decode(message) as ReturnType<typeof decode> & { readonly rcode: string }
  if (rcode === 'NXDOMAIN') throw new DnsAnswer('ENOTFOUND', name)
  if (rcode !== 'NOERROR') throw new Error(`the name server answers with ${rcode}`)
  const records = answers.flatMap(answer => {
    if (answer.type !== 'SRV') return []
    const { target, port = 0, priority = 0, weight = 0 } = answer.data
    return [{ name: target, port, priority, weight }]
  })
  if (records.length === 0) throw new DnsAnswer('ENODATA', name)
  return records
}

function addressOf(server: string): { readonly host: string; readonly port: number } {
  const [, bracketed, plain, port] = /^(?:\[(.+)\]|([^:]+))(?::(\d+))?$/.exec(server) ?? []
  return { host: bracketed ?? plain ?? server, port: Number(port ?? 53) }
}
