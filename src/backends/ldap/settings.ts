import { check } from './check/check.ts'
import { idAttributeOf, isShielded, nestingOf, userFilterOf } from './effective.ts'
import { type GroupMatcher, isSidPattern, matchGroups } from './groups/group.ts'
import type { GroupSettings } from './groups/settings.ts'
import type { LdapOptions } from './options.ts'
import type { Preset } from './presets/preset.ts'
import { presets } from './presets/presets.ts'
import type { ShieldOptions } from './shield/holding.ts'
import { isGuid } from './syntax/entry.ts'
import {
  type FilterTemplate,
  parseFilter,
  parseFilterTemplate,
  parseGroupFilterTemplate,
} from './syntax/filter.ts'
import type { ServiceIdentity } from './wire/connection.ts'
import { type Endpoint, parseEndpoint } from './wire/endpoint.ts'

/** The options with their preset, read once. */
export interface Settings {
  readonly options: LdapOptions
  readonly preset: Preset
  readonly endpoints: readonly Endpoint[]
  readonly userFilter: FilterTemplate
  readonly idAttribute: string
  readonly service: ServiceIdentity
  /** Undefined: everybody. */
  readonly required: GroupMatcher | undefined
  readonly denied: readonly { readonly pattern: string; readonly matches: GroupMatcher }[]
  readonly roles: readonly {
    readonly role: string
    readonly pattern: string
    readonly matches: GroupMatcher
  }[]
  readonly groups: GroupSettings
  /** Undefined: the directory's own lockout is nothing to be kept from. */
  readonly shield: ShieldOptions | undefined
}

/** @throws {Error} on options that `check` refuses */
export function readSettings(id: string, options: LdapOptions): Settings {
  const userFilter = userFilterOf(options)
  const idAttribute = idAttributeOf(options)
  const [problem] = check([{ id, options }]).filter(({ severity }) => severity === 'error')
  if (problem || !userFilter || !idAttribute) {
    throw new Error(`backend ${id}: ${problem?.pointer} ${problem?.message}`)
  }
  const { required, denied, roles } = options.groups
  return {
    options,
    preset: presets[options.preset],
    endpoints: options.urls.map(url => parseEndpoint(url, options.tls.starttls)),
    service: readService(options.bind),
    userFilter: parseFilterTemplate(userFilter),
    idAttribute,
    required: required.length > 0 ? matchGroups(required) : undefined,
    denied: denied.map(pattern => ({ pattern, matches: matchGroups([pattern]) })),
    roles: Object.entries(roles).map(([pattern, role]) => ({
      role,
      pattern,
      matches: matchGroups([pattern]),
    })),
    groups: readGroupSettings(options, idAttribute),
    shield: readShield(options),
  }
}

/** @throws {Error} on options that `check` refuses */
function readService({ method, dn, password }: LdapOptions['bind']): ServiceIdentity {
  if (method !== 'simple') return { method }
  if (dn === undefined || password === undefined) throw new Error('bind needs `dn` and `password`')
  return { method, dn, password }
}

function readShield(options: LdapOptions): ShieldOptions | undefined {
  if (!isShielded(options)) return undefined
  const { threshold, window: windowMs } = options.lockout_shield
  return { threshold, windowMs }
}

function readGroupSettings(options: LdapOptions, idAttribute: string): GroupSettings {
  const { groups, preset: name, base_dn } = options
  const preset: Preset = presets[name]
  const nesting = nestingOf(options)
  const patterns = [...groups.required, ...Object.keys(groups.roles)]
  const sidPatterns = groups.denied.some(isSidPattern)
    ? 'denied'
    : patterns.some(isSidPattern)
      ? 'some'
      : 'none'
  return {
    nesting,
    baseDn: groups.base_dn,
    peopleBaseDn: base_dn,
    filter: groups.filter === undefined ? undefined : parseGroupFilterTemplate(groups.filter),
    groupsAttribute: preset.groupsAttribute,
    memberAttributes: preset.memberAttributes,
    groupFilter: parseFilter(preset.groupFilter),
    // Only Active Directory and what speaks its dialect has an objectGUID, and only they know its ways. Where a group is denied
    // nothing is left to that.
    hasSids:
      isGuid(idAttribute) ||
      !['levels', 'direct'].includes(nesting) ||
      sidPatterns !== 'none' ||
      groups.denied.length > 0,
    sidPatterns,
    deniesNames: groups.denied.some(pattern => !isSidPattern(pattern)),
    maxDepth: groups.max_depth,
    max: groups.max,
    cacheMs: groups.cache,
    timeoutMs: groups.timeout,
  }
}
