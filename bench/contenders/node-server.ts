/** A bare Fastify route in front of a library for logins, as an app would have it. Run by node-libraries.ts. */
import Fastify from 'fastify'
import { authenticate, LdapAuthenticationError } from 'ldap-authentication'
import LdapAuth from 'ldapauth-fork'

/** What node-libraries.ts hands over, as JSON. */
export interface NodeServerOptions {
  readonly library: 'ldapauth-fork' | 'ldap-authentication'
  readonly port: number
  readonly url: string
  readonly base: string
  readonly bindDn: string
  readonly bindPassword: string
}

/** Whether the password is right. Throws where that can't be told. */
type Check = (username: string, password: string) => Promise<boolean>

const options: NodeServerOptions = JSON.parse(process.argv[2] ?? '{}')

const checks: Record<NodeServerOptions['library'], () => Check> = {
  'ldapauth-fork': checkByLdapauthFork,
  'ldap-authentication': () => checkByLdapAuthentication,
}
const check = checks[options.library]()

const app = Fastify()
app.post<{ Body: { username: string; password: string } }>(
  '/authenticate',
  {
    schema: {
      body: {
        type: 'object',
        required: ['username', 'password'],
        properties: { username: { type: 'string' }, password: { type: 'string' } },
      },
      response: {
        '2xx': {
          type: 'object',
          properties: { authenticated: { type: 'boolean' }, username: { type: 'string' } },
        },
        '4xx': { type: 'object', properties: { authenticated: { type: 'boolean' } } },
      },
    },
  },
  async (request, reply) => {
    const { username, password } = request.body
    if (await check(username, password)) return { authenticated: true, username }
    return reply.code(401).send({ authenticated: false })
  },
)
await app.listen({ host: '127.0.0.1', port: options.port })

/**
 * Each keeps two connections, one that searches and one that binds. One login at a time: slapd drops what waits behind a
 * bind on the same connection, as RFC 4511 section 4.2.1 has it, and the library would wait for it for ever.
 */
function checkByLdapauthFork(): Check {
  const idle: LdapAuth[] = []
  return (username, password) =>
    new Promise((resolve, reject) => {
      const directory = idle.pop() ?? connectLdapauthFork()
      directory.authenticate(username, password, error => {
        idle.push(directory)
        if (error === null || error === undefined) resolve(true)
        else if (isRefusal(error)) resolve(false)
        else reject(error)
      })
    })
}

function connectLdapauthFork(): LdapAuth {
  const directory = new LdapAuth({
    url: options.url,
    bindDN: options.bindDn,
    bindCredentials: options.bindPassword,
    searchBase: options.base,
    searchFilter: '(&(objectClass=inetOrgPerson)(uid={{username}}))',
    cache: false,
    reconnect: true,
  })
  directory.on('error', () => {})
  return directory
}

function isRefusal(error: Error | string): boolean {
  if (typeof error === 'string') return error.startsWith('no such user')
  return error.name === 'InvalidCredentialsError'
}

/** It makes two connections for each login, and has no filter but that for the name. */
async function checkByLdapAuthentication(username: string, password: string): Promise<boolean> {
  try {
    await authenticate({
      ldapOpts: { url: options.url },
      adminDn: options.bindDn,
      adminPassword: options.bindPassword,
      userSearchBase: options.base,
      usernameAttribute: 'uid',
      username,
      userPassword: password,
    })
    return true
  } catch (error) {
    if (error instanceof LdapAuthenticationError) return false
    throw error
  }
}
