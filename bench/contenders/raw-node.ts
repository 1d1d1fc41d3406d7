/**
 * The raw ceiling in Node: the same prebuilt searches and hand-written binds as native/ceiling.c, over plain sockets. A process
 * of its own, with the same arguments and the same line of JSON at the end.
 */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'

const [address = '', atOnce = '1', warmUpS = '1', seconds = '1', serviceFile = '', peopleFile = ''] =
  process.argv.slice(2)
const [host = '', port = ''] = address.split(':')
const service = readFileSync(serviceFile)
const texts = readTexts(readFileSync(peopleFile))
const print = (text: string) => void process.stdout.write(`${text}\n`)
const took: number[] = []
let next = 0
let measuring = false

function readTexts(all: Buffer): Buffer[] {
  const found: Buffer[] = []
  for (let at = 0; at < all.length; ) {
    const length = all.readUInt32BE(at)
    found.push(all.subarray(at + 4, at + 4 + length))
    at += 4 + length
  }
  return found
}

/** Where the content of the element at `at` starts and ends; undefined if it is not all there. */
function element(octets: Buffer, at: number): { start: number; end: number } | undefined {
  const first = octets[at + 1]
  if (first === undefined) return undefined
  const size = first < 0x80 ? 0 : first & 0x7f
  if (octets.length < at + 2 + size) return undefined
  const length = size === 0 ? first : octets.readUIntBE(at + 2, size)
  const start = at + 2 + size
  return octets.length < start + length ? undefined : { start, end: start + length }
}

/** Content of the operation in a message: behind the message's header, its id and the operation's own header. */
function operation(message: Buffer): { tag: number | undefined; start: number } {
  const envelope = element(message, 0)
  const id = envelope && element(message, envelope.start)
  if (!id) throw new Error('malformed')
  const content = element(message, id.end)
  if (!content) throw new Error('malformed')
  return { tag: message[id.end], start: content.start }
}

function header(tag: number, length: number): number[] {
  return length < 0x80 ? [tag, length] : [tag, 0x82, length >> 8, length & 0xff]
}

function bindRequest(dn: Buffer, password: Buffer): Buffer {
  const name = Buffer.from(header(0x04, dn.length))
  const secret = Buffer.from(header(0x80, password.length))
  const length = 3 + name.length + dn.length + secret.length + password.length
  const inner = Buffer.from([2, 1, 2, ...header(0x60, length), 2, 1, 3])
  const outer = Buffer.from(header(0x30, inner.length - 3 + length))
  return Buffer.concat([outer, inner, name, dn, secret, password])
}

/** Tells each whole message. */
function onMessage(socket: Socket, take: (message: Buffer) => void): void {
  let rest: Buffer = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    for (let whole = element(rest, 0); whole; whole = element(rest, 0)) {
      const message = rest.subarray(0, whole.end)
      rest = rest.subarray(whole.end)
      take(message)
    }
  })
}

async function startLogin(): Promise<() => void> {
  const searcher = connect(Number(port), host).setNoDelay()
  const binder = connect(Number(port), host).setNoDelay()
  await Promise.all([once(searcher, 'connect'), once(binder, 'connect')])
  searcher.write(service)
  const [answer] = await once(searcher, 'data')
  if (answer[9] !== 0) throw new Error('the service account was refused')
  let person = 0
  let began = 0
  let dn = Buffer.alloc(0)
  const begin = () => {
    person = next++ % (texts.length / 2)
    began = performance.now()
    searcher.write(texts[2 * person] ?? '')
  }
  onMessage(searcher, message => {
    const { tag, start } = operation(message)
    const name = element(message, start)
    if (tag === 0x64 && name) dn = Buffer.from(message.subarray(name.start, name.end))
    else if (tag === 0x65 && message[start + 2] === 0)
      binder.write(bindRequest(dn, texts[2 * person + 1] ?? dn))
    else throw new Error('nobody was found')
  })
  onMessage(binder, message => {
    if (message[operation(message).start + 2] !== 0) throw new Error('the bind was refused')
    if (measuring) took.push(Math.round((performance.now() - began) * 1000))
    begin()
  })
  return begin
}

const logins = await Promise.all(Array.from({ length: Number(atOnce) }, startLogin))
for (const begin of logins) begin()
setTimeout(() => {
  measuring = true
  print('measuring')
  const began = performance.now()
  const used = process.cpuUsage()
  setTimeout(() => {
    print('measured')
    const { user, system } = process.cpuUsage(used)
    took.sort((a, b) => a - b)
    const at = (part: number) => took[Math.floor(took.length * part)] ?? 0
    const measured = {
      seconds: (performance.now() - began) / 1000,
      p50: at(0.5),
      p99: at(0.99),
      cpu: (user + system) / 1e6,
      silent: 0,
    }
    print(JSON.stringify({ ...measured, kinds: { accepted: took.length } }))
    process.exit(0)
  }, Number(seconds) * 1000)
}, Number(warmUpS) * 1000)
