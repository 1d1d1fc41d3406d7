/** Source of a plugin that does whatever the name of the user says, and nothing as it should be. */
export const RUDE_PLUGIN = `
const user = { id: 'rude', username: 'rude', groups: [], roles: [], attributes: {} }
const leak = password => new Error('no good: ' + password.reveal())
const ways = {
  'rude-throws': ({ password }) => { throw leak(password) },
  'rude-rejects': async ({ password }) => { throw leak(password) },
  'rude-hangs': () => new Promise(() => {}),
  'rude-lets-go': ({ password }) => { void Promise.reject(leak(password)); return { outcome: 'unavailable', cause: 'x', phase: 'plugin', credentialSent: false } },
  'rude-twice': ({ mayVerify }) => new Promise(async resolve => {
    await mayVerify('rude'); await mayVerify('somebody-else')
    resolve({ outcome: 'accept', user: { ...user, id: 'somebody-else' } }); resolve({ outcome: 'accept', user })
  }),
  'rude-late': ({ signal }) => new Promise(resolve => signal.addEventListener('abort', () => resolve({ outcome: 'accept', user }))),
  'rude-true': () => true,
  'rude-empty': () => ({}),
  'rude-nan': () => NaN,
  'rude-nothing': () => undefined,
  'rude-null': () => null,
  'rude-word': () => 'accept',
  'rude-list': () => ['accept'],
  'rude-nobody': () => ({ outcome: 'accept' }),
  'rude-no-id': () => ({ outcome: 'accept', user: { ...user, id: '' } }),
  'rude-number': () => ({ outcome: 'accept', user: { ...user, id: 1 } }),
  'rude-shout': () => ({ outcome: 'ACCEPT', user }),
  'rude-trap': () => new Proxy({}, { get() { throw new Error('trapped') } }),
}
export const plugin = {
  type: 'rude',
  apiVersion: 1,
  options: { type: 'object', properties: {} },
  create: async (_options, { id }) => ({
    id,
    authenticate: attempt => ways[attempt.username.text](attempt),
    getUser: async () => undefined,
    probe: async () => { throw new Error('probes, too') },
    close: async () => { throw new Error('and the end') },
  }),
}
`

export const RUDE_NAMES = [...RUDE_PLUGIN.matchAll(/^ {2}'(rude-[a-z-]+)'/gm)].map(([, name = '']) => name)
