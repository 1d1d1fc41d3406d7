import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type Answer, decode, encode, type Question, RECURSION_DESIRED, type SrvAnswer } from 'dns-packet'

/** A real DNS server on loopback (UDP) whose records and manners a test changes while it runs. */

export interface DnsServer {
  /** As `dns_servers` wants it: address and port. */
  readonly address: string
  /** Every question that came, such as `SRV _ldaps._tcp.corp.example`, in order. */
  readonly questions: readonly string[]
  /** From now on these are the records, and there are no others. */
  setRecords(records: DnsRecords): void
  /** `answer` as it should; `servfail`; `silent`: say nothing, as when it is down. */
  setManners(manners: 'answer' | 'servfail' | 'silent'): void
}

export interface DnsRecords {
  /** By the name of the service, such as `_ldaps._tcp.corp.example`. */
  readonly srv?: Readonly<Record<string, readonly SrvData[]>>
  /** IPv4 addresses by host. */
  readonly a?: Readonly<Record<string, readonly string[]>>
  /** IPv6 addresses by host. */
  readonly aaaa?: Readonly<Record<string, readonly string[]>>
}

export type SrvData = SrvAnswer['data']

const NAME_ERROR = 3
const SERVER_FAILURE = 2

/** Listens on a free loopback port until the test ends. */
export async function startDnsServer(
  t: { teardown(end: () => unknown): void },
  initial: DnsRecords = {},
): Promise<DnsServer> {
  let records = initial
  let manners: 'answer' | 'servfail' | 'silent' = 'answer'
  const questions: string[] = []
  const socket = createSocket('udp4')

  socket.on('message', (message, from) => {
    const { id, questions: asked = [] } = decode(message)
    questions.push(...asked.map(({ type, name }) => `${type} ${name}`))
    if (manners === 'silent') return
    const answers = manners === 'answer' ? asked.flatMap(question => answersTo(question, records)) : []
    const known = asked.some(({ name }) => knows(name, records))
    const code = manners === 'servfail' ? SERVER_FAILURE : known ? 0 : NAME_ERROR
    const reply = encode({ type: 'response', id, flags: RECURSION_DESIRED | code, questions: asked, answers })
    socket.send(reply, from.port, from.address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  t.teardown(() => socket.close())

  return {
    address: `127.0.0.1:${socket.address().port}`,
    questions,
    setRecords(changed) {
      records = changed
    },
    setManners(changed) {
      manners = changed
    },
  }
}

function answersTo({ type, name }: Question, { srv, a, aaaa }: DnsRecords): Answer[] {
  const of = <T>(zone: Readonly<Record<string, readonly T[]>> | undefined): readonly T[] =>
    zone?.[name.toLowerCase()] ?? []
  switch (type) {
    case 'SRV':
      return of(srv).map(data => ({ type: 'SRV' as const, name, ttl: 1, data }))
    case 'A':
      return of(a).map(data => ({ type: 'A' as const, name, ttl: 1, data }))
    case 'AAAA':
      return of(aaaa).map(data => ({ type: 'AAAA' as const, name, ttl: 1, data }))
    default:
      return []
  }
}

function knows(name: string, { srv, a, aaaa }: DnsRecords): boolean {
  return [srv, a, aaaa].some(zone => zone !== undefined && name.toLowerCase() in zone)
}
