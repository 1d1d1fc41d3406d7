/** Plugins with every kind of option, so that this room's tests depend on no real backend. */

import type { ResolvePlugin } from '../../src/config/backends.ts'
import {
  type Backend,
  type BackendPlugin,
  DurationOption,
  definePlugin,
  SecretOption,
  Type,
} from '../../src/plugin.ts'

async function create(): Promise<Backend> {
  throw new Error('a stand-in makes no backend')
}

const directory = definePlugin({
  type: 'directory',
  apiVersion: 1,
  options: Type.Object({
    urls: Type.Array(Type.String({ pattern: '^ldaps?://', 'x-expected': 'an ldap:// or ldaps:// URL' }), {
      minItems: 1,
      description: 'Servers, tried in this order.',
    }),
    base_dn: Type.String({ minLength: 1, description: 'Where the search starts.' }),
    bind: Type.Optional(
      Type.Object({
        dn: Type.String({ minLength: 1, description: 'The service account.' }),
        password: SecretOption('Its password.'),
      }),
    ),
    tls: Type.Object(
      {
        starttls: Type.Boolean({ default: false, description: 'Start TLS on a plain connection.' }),
        min_version: Type.Union([Type.Literal('TLSv1.2'), Type.Literal('TLSv1.3')], { default: 'TLSv1.2' }),
      },
      { default: {}, description: 'Encryption.' },
    ),
    connect_timeout: DurationOption('How long a connection may take to open.', '2s'),
    cache: Type.Optional(
      Type.Unsafe<number>({ type: 'string', 'x-size': true, description: 'Memory for entries.' }),
    ),
    pool: Type.Optional(
      Type.Union([
        Type.Object({ kind: Type.Literal('fixed'), size: Type.Integer({ minimum: 1 }) }),
        Type.Object({ kind: Type.Literal('elastic'), idle: DurationOption('Closed after.', '1m') }),
      ]),
    ),
    attributes: Type.Optional(
      Type.Record(Type.String(), Type.String(), { description: 'Returned attributes.' }),
    ),
  }),
  check(backends) {
    return backends.flatMap(({ options }, backend) =>
      options.urls.flatMap((url, index) =>
        url.startsWith('ldap://') && !options.tls.starttls
          ? [
              {
                backend,
                pointer: `/urls/${index}`,
                message: 'passwords would cross the network in clear text',
                hint: 'use ldaps://, or set `tls: { starttls: true }`',
                severity: 'error' as const,
              },
            ]
          : [],
      ),
    )
  },
  create,
})

const email = definePlugin({ type: 'email', apiVersion: 1, options: Type.Object({}), create })
const local = definePlugin({ type: 'local', apiVersion: 1, options: Type.Object({}), create })

export const standInPlugins: readonly BackendPlugin[] = [directory, email, local]

/** The registry of the tests: the stand-ins, and one plugin from a path. */
export const resolveStandIn: ResolvePlugin = async (type, declared) => {
  const plugin = standInPlugins.find(known => known.type === type)
  if (plugin) return plugin
  if (type === './broken.ts') throw new Error('Cannot find module')
  if (declared.includes(type)) return { ...email, type }
  return { error: 'no backend has this type', known: standInPlugins.map(known => known.type) }
}
