/** Asks the directory for its lockout policies, as the service account. */
import type { Directory } from '../servers/directory.ts'
import { type DirectoryEntry, readEntry } from '../syntax/entry.ts'
import { anything, equals } from '../syntax/filter.ts'
import { formatSid } from '../syntax/sid.ts'
import type { SearchRequest } from '../wire/connection.ts'
import { DirectoryFailure } from '../wire/failure.ts'
import { describe, SIZE_LIMIT_EXCEEDED, SUCCESS } from '../wire/result.ts'
import type { Shown } from './holding.ts'
import {
  DOMAIN_ATTRIBUTES,
  type PolicyAttributes,
  readPolicy,
  SETTINGS_ATTRIBUTES,
  seesAllSettings,
  settingsContainerOf,
} from './policy.ts'

/** Each throws {DirectoryFailure} when no answer came. */
export interface PolicyLookUp {
  domain(): Promise<{ readonly policy: Shown; readonly sids: readonly string[]; readonly dn: string }>
  /** @param dn of a password settings object */
  settings(dn: string): Promise<Shown>
  /** Whether the service account can see all password settings objects that there are. */
  seesSettings(domain: string, sids: readonly string[]): Promise<boolean>
}

/** Longer than a directory takes for an entry that it is told the name of; a login waits for it, in milliseconds. */
const PATIENCE_MS = 2_000

const NO_SUCH_OBJECT = 32
const INSUFFICIENT_ACCESS = 50

export function createPolicyLookUp(directory: Directory): PolicyLookUp {
  async function search(request: SearchRequest): Promise<readonly DirectoryEntry[]> {
    const answer = await directory.search(request, AbortSignal.timeout(PATIENCE_MS))
    if (answer.code === NO_SUCH_OBJECT || answer.code === INSUFFICIENT_ACCESS) return []
    if (answer.code !== SUCCESS && answer.code !== SIZE_LIMIT_EXCEEDED) {
      throw new DirectoryFailure(describe(answer), { phase: 'search' })
    }
    return answer.entries.map(readEntry)
  }

  async function read(base: string, attributes: readonly string[]): Promise<DirectoryEntry | undefined> {
    const [entry] = await search({ base, scope: 'base', filter: anything(), attributes, sizeLimit: 1 })
    return entry
  }

  async function policyOf(dn: string, attributes: PolicyAttributes): Promise<Shown> {
    const entry = await read(dn, attributes)
    return (entry && readPolicy(entry, attributes)) ?? 'hidden'
  }

  return {
    async domain() {
      const root = await read('', ['defaultNamingContext', 'tokenGroups'])
      const [dn = ''] = root?.texts('defaultNamingContext') ?? []
      const sids = root?.allOctets('tokenGroups').flatMap(octets => formatSid(octets) ?? []) ?? []
      return { policy: dn === '' ? 'hidden' : await policyOf(dn, DOMAIN_ATTRIBUTES), sids, dn }
    },
    settings: dn => policyOf(dn, SETTINGS_ATTRIBUTES),
    async seesSettings(domain, sids) {
      if (seesAllSettings(sids)) return true
      const filter = equals('objectClass', 'msDS-PasswordSettings')
      const request = { scope: 'sub', filter, attributes: ['objectClass'], sizeLimit: 1 } as const
      // Whoever may not see them may all the same see the container.
      return (await search({ base: settingsContainerOf(domain), ...request })).length > 0
    },
  }
}
