/** Source of a plugin that lets the password slip in every way that the daemon has a say in; which one the name of the user says. */
export const LEAKY_PLUGIN = `
const user = { id: 'leaky', username: 'leaky', groups: [], roles: [], attributes: {} }
const plain = ({ password }) => password.reveal()
const encoded = (attempt, how) => Buffer.from(plain(attempt)).toString(how)
const unavailable = cause => ({ outcome: 'unavailable', cause, phase: 'plugin', credentialSent: false })
const ways = {
  'leaky-message': a => { throw new Error('no good: ' + plain(a)) },
  'leaky-rejection': async a => { throw new Error('no good: ' + plain(a)) },
  'leaky-name': a => { throw Object.assign(new Error('x'), { name: plain(a) }) },
  'leaky-stack': a => { throw Object.assign(new Error('x'), { stack: 'Error: ' + plain(a) + '\\n    at here' }) },
  'leaky-frame': a => { throw Object.assign(new Error('x'), { stack: 'Error: x\\n    at ' + plain(a) }) },
  'leaky-cause': a => { throw new Error('x', { cause: new Error(plain(a)) }) },
  'leaky-property': a => { throw Object.assign(new Error('x'), { request: { body: { password: plain(a) } } }) },
  'leaky-aggregate': a => { throw new AggregateError([new Error(plain(a))], 'several: ' + plain(a)) },
  'leaky-json': a => { throw new Error('sent ' + JSON.stringify({ password: plain(a) })) },
  'leaky-base64': a => { throw new Error('Authorization: Basic ' + encoded(a, 'base64')) },
  'leaky-basic': a => { throw new Error('Authorization: Basic ' + Buffer.from('leaky:' + plain(a)).toString('base64')) },
  'leaky-hex': a => { throw new Error('octets ' + encoded(a, 'hex')) },
  'leaky-url': a => { throw new Error('GET /login?p=' + encodeURIComponent(plain(a))) },
  'leaky-form': a => { throw new Error('GET /login?' + new URLSearchParams({ p: plain(a) })) },
  'leaky-text': a => Promise.reject(plain(a)),
  'leaky-object': a => Promise.reject({ message: plain(a), toString: () => plain(a) }),
  'leaky-answer': a => plain(a),
  'leaky-outcome': a => ({ outcome: plain(a) }),
  'leaky-outage': a => unavailable('the server said: ' + plain(a)),
  'leaky-phase': a => ({ ...unavailable('x'), phase: plain(a) }),
  'leaky-deny': a => ({ outcome: 'deny', reason: 'told not to let in ' + plain(a) }),
  'leaky-elsewhere': a => ({ outcome: 'not_applicable', reason: 'not for ' + plain(a) }),
  'leaky-stranger': a => ({ outcome: 'account_state', subject: 'leaky', state: plain(a), passwordVerified: true }),
  'leaky-warning': async a => { await a.mayVerify('leaky'); return { outcome: 'accept', user, warnings: [{ code: plain(a), text: plain(a) }, { code: 'grace_logins', remaining: 1, text: plain(a) }, { code: 'password_expires', at: plain(a), remaining: plain(a) }] } },
  'leaky-member': async a => { await a.mayVerify('leaky'); return { outcome: 'accept', user: { ...user, password: plain(a), raw: { userPassword: plain(a) } }, warnings: [], request: plain(a) } },
  'leaky-log': a => {
    a.log.debug({ password: plain(a) }, 'asking')
    a.log.info({ deep: { er: [{ still: 'p=' + plain(a) }] } }, 'asking')
    a.log.warn({ [plain(a)]: 1 }, 'asking with a key')
    a.log.error({ err: new Error(plain(a), { cause: new Error(plain(a)) }) }, 'asking failed')
    a.log.error(Object.assign(new Error('x'), { config: { data: plain(a) } }), 'asking failed')
    a.log.fatal({}, 'asking with ' + plain(a))
    a.log.info({ octets: Buffer.from(plain(a)), set: new Set([plain(a)]), map: new Map([[plain(a), plain(a)]]) }, 'and more')
    a.log.info({ made: { toJSON: () => ({ p: plain(a) }) } }, 'made')
    a.log.child({ password: plain(a) }).info({ p: plain(a) }, 'from a child: ' + plain(a))
    a.log.info(plain(a))
    a.log.info({}, 'with %s', plain(a))
    a.log.info({ secret: a.password, attempt: a }, 'the attempt itself')
    return unavailable('x')
  },
  'leaky-note': a => {
    a.note?.({ what: 'sent', value: 'password ' + plain(a) })
    a.note?.({ what: plain(a), value: 'x' })
    return unavailable('x')
  },
  'leaky-lets-go': a => { void Promise.reject(new Error(plain(a))); return unavailable('x') },
  'leaky-crash': a => { setTimeout(() => { throw Object.assign(new Error('late: ' + plain(a)), { request: plain(a) }) }); return unavailable('x') },
  'leaky-crash-text': a => { setTimeout(() => { throw plain(a) }); return unavailable('x') },
  'leaky-keeps': a => { globalThis.kept = [plain(a)]; return unavailable('x') },
}
export const plugin = {
  type: 'leaky',
  apiVersion: 1,
  options: { type: 'object', properties: {} },
  create: async (_options, { id }) => ({
    id,
    authenticate: attempt => ways[attempt.username.text](attempt),
    getUser: async () => undefined,
    probe: async () => ({ ok: true }),
    close: async () => {},
  }),
}
`

/** All of them but those that end the daemon or mean to keep it. */
export const LEAKY_NAMES = [...LEAKY_PLUGIN.matchAll(/^ {2}'(leaky-[a-z-0-9]+)'/gm)]
  .map(([, name = '']) => name)
  .filter(name => !/crash|keeps/.test(name))
