import t, { type Test } from 'tap'
import type { AuthenticationRequest } from '../../src/authentication/verdict.ts'
import type { Client } from '../../src/http/clients.ts'
import { createCallers } from '../../src/http/security.ts'
import type { Service } from '../../src/http/service.ts'
import { createLogRecorder } from '../support/log-recorder.ts'
import { alice, appWithKey, createFakeCoreServer, loginBytes, openRaw } from './fake-core.ts'

/** A reload swaps who may call and who answers, both at once. */

interface Half {
  /** The rest of the request, and the status and body of the reply. */
  finish(): Promise<string>
}

/** Sends a login up to the middle of its body and waits until its app was recognised. */
async function sendHalf(
  t: Test,
  service: Service,
  swap: (service: Service) => void,
  port: number,
): Promise<Half> {
  const { promise: entered, resolve } = Promise.withResolvers<void>()
  const { identify } = service.callers
  swap({
    ...service,
    callers: {
      ...service.callers,
      identify(presented) {
        resolve()
        return identify(presented)
      },
    },
  })
  const bytes = loginBytes(['Authorization: Bearer wiki-key', 'Connection: close'])
  const middle = bytes.length - 10
  const connection = openRaw(t, port, bytes.slice(0, middle))
  await entered
  return {
    finish() {
      connection.socket.write(bytes.slice(middle), 'latin1')
      return connection.closed
    },
  }
}

function serviceFor(clients: readonly Client[], seen: AuthenticationRequest[]): Service {
  return {
    callers: createCallers({ clients, trustedProxies: [] }, createLogRecorder()),
    async authenticate(request) {
      seen.push(request)
      return { verdict: 'accepted', user: alice, warnings: [] }
    },
    getUser: async () => ({ lookup: 'not_found' }),
    lockoutDisclosure: 'shown',
  }
}

t.test('a request whose body comes in after the swap is decided by the new one alone', async t => {
  const before: AuthenticationRequest[] = []
  const after: AuthenticationRequest[] = []
  const server = createFakeCoreServer(t)
  const swap = (service: Service) => {
    server.service = service
  }
  const old = serviceFor([appWithKey('wiki', 'wiki-key')], before)
  const port = await server.listen()

  const kept = await sendHalf(t, old, swap, port)
  swap(serviceFor([{ ...appWithKey('wiki', 'wiki-key'), requiredGroups: ['staff'] }], after))
  t.match(await kept.finish(), /^HTTP\/1\.1 200 /)
  t.equal(before.length, 0, 'the old one is not asked')
  t.match(
    after,
    [{ caller: { id: 'wiki', requiredGroups: ['staff'] } }],
    'and the app is as the new one knows it',
  )

  const revoked = await sendHalf(t, old, swap, port)
  swap(serviceFor([appWithKey('other', 'other-key')], after))
  t.match(await revoked.finish(), /^HTTP\/1\.1 401 .*client_unauthenticated/s, 'a key that is gone is gone')
  t.equal(after.length, 1)
})
