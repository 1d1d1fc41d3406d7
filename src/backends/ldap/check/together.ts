/** Rules over several backends. */
import { createUsernameNormaliser, type OptionProblem } from '../../../plugin.ts'
import { userFilterOf } from '../effective.ts'
import type { LdapOptions } from '../options.ts'
import { realmOf } from '../realm.ts'
import { canonicalDn, parseDn } from '../syntax/dn.ts'
import { parseEndpoint } from '../wire/endpoint.ts'
import { attempt, type ConfiguredBackend } from './finding.ts'

/** Two views of one directory with different filters: which filter holds would be a matter of order (CVE-2022-30550). */
export function checkTwins(backends: readonly ConfiguredBackend[]): OptionProblem[] {
  return backends.flatMap(({ options }, backend) => {
    const twin = backends
      .slice(0, backend)
      .find(
        other =>
          sharesServer(other.options, options) && userFilterOf(other.options) !== userFilterOf(options),
      )
    if (twin === undefined) return []
    return {
      backend,
      pointer: options.user_filter === undefined ? '' : '/user_filter',
      message: `the backend \`${twin.id}\` has the same server and base_dn but another filter`,
      hint: 'make them one backend, or give them different bases',
      severity: 'error' as const,
    }
  })
}

/** Domains that cannot be told apart would stop the start without a place. */
export function checkRealms(backends: readonly ConfiguredBackend[]): OptionProblem[] {
  const realms = backends.map(({ options }) => realmOf(options) ?? { suffixes: [] })
  // Those that are no domain are told of where they stand.
  if (attempt(() => realms.map(realm => createUsernameNormaliser([realm]))) instanceof Error) return []
  const backend = realms.findIndex(
    (_, index) => attempt(() => createUsernameNormaliser(realms.slice(0, index + 1))) instanceof Error,
  )
  if (backend === -1) return []
  const { message } = attempt(() => createUsernameNormaliser(realms)) as Error
  const hint = 'two directories need down-level names of their own'
  return [{ backend, pointer: '/names', message: message.replace(/^The/, 'the'), hint, severity: 'error' }]
}

function sharesServer(one: LdapOptions, other: LdapOptions): boolean {
  if (base(one) !== base(other)) return false
  if (one.discover !== undefined && one.discover.toLowerCase() === other.discover?.toLowerCase()) return true
  const mine = new Set(one.urls.map(server))
  return other.urls.some(url => mine.has(server(url)))
}

function server(url: string): string {
  const endpoint = attempt(() => parseEndpoint(url, false))
  if (endpoint instanceof Error) return url
  // 389 and 636 lead to one server, whichever way it is encrypted.
  return endpoint.port === 389 || endpoint.port === 636 ? endpoint.host : `${endpoint.host}:${endpoint.port}`
}

function base({ base_dn }: LdapOptions): string {
  const rdns = parseDn(base_dn)
  return rdns ? canonicalDn(rdns) : base_dn
}
