import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { quietPort } from './quiet-port.ts'

/** A TCP proxy that misbehaves as networks do; what it does can be changed while connections are open. */

export type Direction = 'toServer' | 'toClient'

/**
 * What becomes of the bytes of one direction:
 * `pass` them on; `stall`: keep them until the flow changes; `drop`: swallow them and the end of the stream,
 * as a firewall does that forgot the connection; `delayMs`: each segment comes that much later;
 * `dripMs`: one byte at a time, that far apart.
 */
export type Flow = 'pass' | 'stall' | 'drop' | { readonly delayMs: number } | { readonly dripMs: number }

export interface TcpProxy {
  readonly port: number
  /** Connections that are open now. */
  connections(): number
  /** How many were ever accepted. */
  accepted(): number
  /** When each of those was, in monotonic milliseconds. */
  dials(): readonly number[]
  /** Holds for open and for new connections, until changed; for both directions unless one is named. */
  setFlow(flow: Flow, direction?: Direction): void
  /** Ends every open connection on both sides: politely (FIN) or not (RST). */
  cut(how: 'fin' | 'rst'): void
  /** Ends every connection with RST as soon as so many more bytes went in that direction, after passing them on. */
  cutAfter(bytes: number, direction: Direction): void
  /** As a firewall does: nothing of the connections open now gets through any more, and nobody is told. New ones pass. */
  forget(): void
  /** Stops listening: new connections are refused, open ones stay. */
  refuse(): Promise<void>
  /** Refuses so that it is seen who tries: new connections are accepted, and ended with RST at once. */
  turnAway(): void
  /** Listens again, on the same port, and turns nobody away. */
  accept(): Promise<void>
  /** Everything that arrived for that direction so far, whether passed on or not. */
  bytes(direction: Direction): Buffer
  /** Resolves when something arrives for that direction. */
  arrival(direction: Direction): Promise<void>
  close(): Promise<void>
}

/** Listens on a free loopback port until the test ends. */
export async function startTcpProxy(
  t: { teardown(end: () => unknown): void },
  target: { readonly port: number; readonly host?: string },
): Promise<TcpProxy> {
  const flows: Record<Direction, Flow> = { toServer: 'pass', toClient: 'pass' }
  const seen: Record<Direction, Buffer[]> = { toServer: [], toClient: [] }
  const arrivals: Record<Direction, PromiseWithResolvers<void>> = {
    toServer: Promise.withResolvers(),
    toClient: Promise.withResolvers(),
  }
  const sockets = new Set<Socket>()
  const forgotten = new WeakSet<Socket>()
  let flowChange = Promise.withResolvers<void>()
  let fuse: { left: number; direction: Direction } | undefined
  const dials: number[] = []
  let turnsAway = false

  const listener = createServer({ allowHalfOpen: true, noDelay: true }, client => {
    dials.push(performance.now())
    if (turnsAway) {
      client.on('error', () => {})
      client.resetAndDestroy()
      return
    }
    const server = connect({
      port: target.port,
      host: target.host ?? '127.0.0.1',
      allowHalfOpen: true,
      noDelay: true,
    })
    join(client, server)
    pump(client, server, 'toServer')
    pump(server, client, 'toClient')
  })
  const port = await listenSomewhere()
  t.teardown(close)

  return {
    port,
    connections: () => sockets.size / 2,
    accepted: () => dials.length,
    dials: () => dials,
    setFlow(flow, direction) {
      if (direction !== 'toClient') flows.toServer = flow
      if (direction !== 'toServer') flows.toClient = flow
      flowChange.resolve()
      flowChange = Promise.withResolvers()
    },
    cut,
    cutAfter(bytes, direction) {
      fuse = { left: bytes, direction }
    },
    forget() {
      for (const socket of sockets) forgotten.add(socket)
    },
    async refuse() {
      listener.close()
      // Open connections keep the server object from closing, but not from refusing.
      await new Promise(resolve => setImmediate(resolve))
    },
    turnAway() {
      turnsAway = true
    },
    async accept() {
      turnsAway = false
      if (!listener.listening) await listen(port)
    },
    bytes: direction => Buffer.concat(seen[direction]),
    arrival: direction => arrivals[direction].promise,
    close,
  }

  async function listenSomewhere(): Promise<number> {
    for (let attempt = 1; ; attempt += 1) {
      const port = quietPort()
      try {
        await listen(port)
        return port
      } catch (error) {
        if (attempt === 10) throw error
      }
    }
  }

  async function listen(on: number): Promise<void> {
    listener.listen(on, '127.0.0.1')
    await once(listener, 'listening')
  }

  async function close(): Promise<void> {
    for (const socket of sockets) socket.destroy()
    if (listener.listening) listener.close()
  }

  function cut(how: 'fin' | 'rst'): void {
    for (const socket of sockets) {
      if (how === 'rst') socket.resetAndDestroy()
      else socket.destroySoon()
    }
  }

  /** One side's sudden death is the other's, unless the flow says that nobody gets to know. */
  function join(client: Socket, server: Socket): void {
    for (const [socket, other, direction] of [
      [client, server, 'toServer'],
      [server, client, 'toClient'],
    ] as const) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.once('close', hadError => {
        sockets.delete(socket)
        if (hadError && flows[direction] !== 'drop' && !forgotten.has(socket)) other.resetAndDestroy()
      })
    }
  }

  function pump(from: Socket, to: Socket, direction: Direction): void {
    // One after the other, so that no flow reorders what came in.
    let tail = Promise.resolve()
    from.on('data', (bytes: Buffer) => {
      seen[direction].push(bytes)
      arrivals[direction].resolve()
      arrivals[direction] = Promise.withResolvers()
      const arrived = performance.now()
      tail = tail.then(() => deliver(bytes, arrived))
    })
    from.once('end', () => {
      const arrived = performance.now()
      tail = tail.then(() => deliver('end', arrived))
    })

    async function deliver(what: Buffer | 'end', arrived: number): Promise<void> {
      while (flows[direction] === 'stall' && !to.destroyed) await flowChange.promise
      const flow = flows[direction]
      if (flow === 'drop' || forgotten.has(from)) return
      if (typeof flow === 'object' && 'delayMs' in flow)
        await pause(Math.max(arrived + flow.delayMs - performance.now(), 0))
      if (to.destroyed) return
      if (what === 'end') to.end()
      else if (typeof flow === 'object' && 'dripMs' in flow) await drip(what, flow.dripMs)
      else write(what)
    }

    async function drip(bytes: Buffer, dripMs: number): Promise<void> {
      for (let i = 0; i < bytes.length && !to.destroyed; i += 1) {
        write(bytes.subarray(i, i + 1))
        await pause(dripMs)
      }
    }

    function write(bytes: Buffer): void {
      if (fuse?.direction !== direction) {
        to.write(bytes)
        return
      }
      const passed = bytes.subarray(0, fuse.left)
      fuse.left -= passed.length
      const burnt = fuse.left === 0
      if (burnt) fuse = undefined
      to.write(passed, () => burnt && cut('rst'))
    }
  }
}
