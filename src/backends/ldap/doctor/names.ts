/** A name as it is typed, and what this backend makes of it. */
import { createUsernameNormaliser, normaliseDomain } from '../../../authentication/username.ts'
import type { Finding, Username } from '../../../plugin.ts'
import type { LdapOptions } from '../options.ts'
import { realmOf } from '../realm.ts'
import type { Names } from '../syntax/filter.ts'
import { fail, ok } from './finding.ts'

/**
 * What is looked for in the place of a name.
 *
 * @param user as it was typed
 * @param username what a login makes of it
 * @returns undefined for what can be no name
 */
export function namesFor(
  user: string,
  username: Username | undefined,
  options: LdapOptions,
): Names | undefined {
  return username === undefined
    ? readNames(user, options)
    : { username: username.user, input: username.typed }
}

/**
 * By the domains of this backend alone.
 *
 * @returns undefined for what can be no name
 */
export function readNames(user: string, options: LdapOptions): Names | undefined {
  const name = createUsernameNormaliser([realmOf(options) ?? []].flat())(user)
  return name.ok ? { username: name.username.user, input: name.username.typed } : undefined
}

/** A domain in a name, and which option says that it is ours. */
export interface TypedDomain {
  readonly domain: string
  /** The name without it. */
  readonly user: string
  readonly option: 'netbios' | 'upn_suffixes'
}

/** @returns undefined for a name without a domain */
export function domainOf(user: string): TypedDomain | undefined {
  const [, netbios, account] = /^([^\\@]+)\\([^\\@]+)$/.exec(user) ?? []
  if (netbios !== undefined && account !== undefined)
    return { domain: netbios.trim(), user: account.trim(), option: 'netbios' }
  const [, local, suffix] = /^([^\\@]+)@([^\\@]+)$/.exec(user) ?? []
  if (local === undefined || suffix === undefined) return undefined
  return { domain: suffix.trim(), user: local.trim(), option: 'upn_suffixes' }
}

/** A name with the domain of another backend: a login does not look for it here. */
export function notAsked(user: string, { domain }: Username): Finding {
  const detail = `not asked for this name: the domain ${domain} is in the \`names\` of another backend; anybody will do here`
  return { ...ok(`user ${user}`, detail), user: 'not_asked' }
}

/** Whether the domain is in our `names`, and yet stays in the name: then it is in those of another backend, too. */
export function isShared({ domain, option }: TypedDomain, { names }: Pick<LdapOptions, 'names'>): boolean {
  return [names[option] ?? []].flat().some(ours => normaliseDomain(ours) === normaliseDomain(domain))
}

/** @param dn who is found without the domain */
export function blameShared(user: string, domain: string, dn: string): Finding {
  return fail(
    `user ${user}`,
    `the domain ${domain} is in the \`names\` of several backends, so the whole is looked for; without it ${dn} is found`,
    `have \`user_filter\` look for the whole, such as (userPrincipalName={input}); or leave ${domain} to one backend`,
  )
}
