import { once } from 'node:events'
import { get as getHttp } from 'node:http'
import { get as getHttps } from 'node:https'
import { createServer } from 'node:net'
import type { Config } from '../../config/config.ts'
import { isWildcard } from '../../config/network.ts'
import type { Finding } from '../../plugin.ts'

const ANSWER_MS = 2_000

/** Is each port free for the daemon, or is it the daemon that has it? */
export async function* examineListeners({ listen, admin }: Config): AsyncGenerator<Finding> {
  yield await examineListener('listener', listen, listen.tls !== undefined)
  yield await examineListener('admin listener', admin, false)
}

interface Address {
  readonly host: string
  readonly port: number
}

async function examineListener(what: string, { host, port }: Address, tls: boolean): Promise<Finding> {
  const check = `${what} ${host}:${port}`
  if (port === 0) return { status: 'ok', check, detail: 'the system gives a free port at each start' }
  const error = await tryToListen({ host, port })
  switch (error) {
    case undefined:
      return { status: 'ok', check, detail: 'free: no daemon runs there' }
    case 'EADDRINUSE':
      return (await isGatehouse({ host, port }, tls))
        ? { status: 'ok', check, detail: 'a Gatehouse answers there' }
        : {
            status: 'fail',
            check,
            detail: 'another program has this port',
            advice: `end that one, or choose another port in \`${what === 'listener' ? 'listen' : 'admin'}\``,
          }
    case 'EACCES':
      return {
        status: 'fail',
        check,
        detail: 'this user may not listen there',
        advice: 'choose a port above 1023, or give the right (CAP_NET_BIND_SERVICE)',
      }
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return {
        status: 'fail',
        check,
        detail: 'this machine has no such address',
        advice: 'name one that it has, 127.0.0.1 for programs on it, or 0.0.0.0 for all',
      }
    default:
      return { status: 'fail', check, detail: `nothing can listen there: ${error}` }
  }
}

/** @returns the system's error code, undefined if it can be done */
async function tryToListen({ host, port }: Address): Promise<string | undefined> {
  const server = createServer()
  try {
    server.listen({ host, port, exclusive: true })
    await once(server, 'listening')
    server.close()
    await once(server, 'close')
    return undefined
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
  }
}

/** By what /livez says. */
function isGatehouse({ host, port }: Address, tls: boolean): Promise<boolean> {
  const name = isWildcard(host) ? (host === '::' ? '::1' : '127.0.0.1') : host
  const get = tls ? getHttps : getHttp
  return new Promise(resolve => {
    const request = get(
      // Who it is does not matter here: nothing is told to it.
      {
        host: name,
        port,
        path: '/livez',
        // For all of it: a `timeout` starts anew with each byte.
        signal: AbortSignal.timeout(ANSWER_MS),
        ...(tls && { rejectUnauthorized: false }),
      },
      response => {
        let body = ''
        response.setEncoding('utf8').on('data', text => {
          body += text
          if (body.length > 100) response.destroy()
        })
        response.on('error', () => resolve(false))
        response.on('close', () => resolve(response.statusCode === 200 && body.trim() === '{"status":"ok"}'))
      },
    )
    request.on('error', () => resolve(false))
  })
}
