import { check, idAttributeOf, userFilterOf } from './check.ts'
import { type Endpoint, parseEndpoint } from './endpoint.ts'
import { type FilterTemplate, parseFilterTemplate } from './filter.ts'
import { type GroupMatcher, matchGroups } from './groups.ts'
import type { LdapOptions } from './options.ts'
import { type Preset, presets } from './presets.ts'

/** The options with their preset, read once. */
export interface Settings {
  readonly options: LdapOptions
  readonly preset: Preset
  readonly endpoints: readonly Endpoint[]
  readonly userFilter: FilterTemplate
  readonly idAttribute: string
  /** Undefined: everybody. */
  readonly required: GroupMatcher | undefined
  readonly denied: GroupMatcher
  readonly roles: readonly { readonly role: string; readonly matches: GroupMatcher }[]
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
    userFilter: parseFilterTemplate(userFilter),
    idAttribute,
    required: required.length > 0 ? matchGroups(required) : undefined,
    denied: matchGroups(denied),
    roles: Object.entries(roles).map(([pattern, role]) => ({ role, matches: matchGroups([pattern]) })),
  }
}
