import type { Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { Server as TlsServer } from 'node:tls'

/** What is open on a server, and what on it still waits for a reply. */
export interface Connections {
  /** Begins to watch a server; before it listens. */
  watch(server: Server): void
  /**
   * Whether bytes written to this socket now would be read as the reply to the request that broke off on it, and not as
   * the reply to an earlier one that is still being worked on.
   */
  canAnswer(socket: Socket): boolean
  /**
   * Closes what is idle at once and lets what runs finish, each connection with its last reply; after `graceMs`
   * milliseconds the rest is cut. Node by itself waits for ever for a connection on which nothing was sent.
   */
  drain(graceMs: number): void
  /** Closes every connection as soon as it owes no reply: who may call is decided at the next one anew. */
  renew(): void
}

export function createConnections(): Connections {
  /** Per connection its latest replies, oldest first, among them every unfinished one. */
  const open = new Map<Socket, ServerResponse[]>()
  /** Bare sockets of TLS connections that are not up yet, by the other side's address and port. */
  const handshaking = new Map<string, Socket>()
  let draining = false

  function add(socket: Socket): void {
    if (draining) {
      socket.destroy()
      return
    }
    open.set(socket, [])
    socket.once('close', () => open.delete(socket))
  }

  function addHandshake(socket: Socket): void {
    const peer = peerOf(socket)
    handshaking.set(peer, socket)
    socket.once('close', () => {
      if (handshaking.get(peer) === socket) handshaking.delete(peer)
    })
  }

  function renew(): void {
    for (const [socket, replies] of open) {
      const last = replies.findLast(isUnfinished)
      if (last === undefined) socket.destroy()
      // Not on an earlier one: it would cut off the replies behind it.
      else if (!last.headersSent) last.setHeader('connection', 'close')
      // Written, and not read yet: it may be long until it has left.
      else last.once('finish', () => socket.destroySoon())
    }
    for (const socket of handshaking.values()) socket.destroy()
  }

  return {
    watch(server) {
      if (server instanceof TlsServer) {
        server.on('connection', addHandshake)
        server.on('secureConnection', socket => {
          handshaking.delete(peerOf(socket))
          add(socket)
        })
      } else {
        server.on('connection', add)
      }
      server.prependListener('request', ({ socket }, response) => {
        // Finished ones are dropped here, which is cheaper than listening for the end of each.
        const replies = open.get(socket)
        if (replies === undefined) open.set(socket, [response])
        else remember(replies, response)
      })
    },

    canAnswer(socket) {
      const [first, second] = (open.get(socket) ?? []).filter(isUnfinished)
      if (first === undefined) return true
      return second === undefined && !first.req.complete && !first.headersSent
    },

    renew,

    drain(graceMs) {
      draining = true
      renew()
      setTimeout(() => {
        for (const socket of open.keys()) socket.destroy()
      }, graceMs).unref()
    },
  }
}

function remember(replies: ServerResponse[], response: ServerResponse): void {
  // Without pipelining there is one at most, and its reply has left.
  if (replies.length === 1 && replies[0]?.writableFinished) replies[0] = response
  else replies.splice(0, replies.length, ...replies.filter(isUnfinished), response)
}

function isUnfinished(reply: ServerResponse): boolean {
  return !reply.writableFinished
}

function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`
}
