import { isUnder } from '../syntax/dn.ts'
import { readEntry } from '../syntax/entry.ts'
import { anything } from '../syntax/filter.ts'
import { DirectoryFailure } from '../wire/failure.ts'
import { describe, SUCCESS } from '../wire/result.ts'
import type { Search } from './settings.ts'

/** What a directory says about itself in its root DSE (RFC 4512 section 5.1). */
export interface Capabilities {
  readonly activeDirectory: boolean
  /** Gives long answers in pages (RFC 2696). */
  readonly pages: boolean
  /** The naming context that holds a DN; undefined if none is known to. */
  contextOf(dn: string): string | undefined
}

/** LDAP_CAP_ACTIVE_DIRECTORY_OID ([MS-ADTS] section 3.1.1.3.4.3); Samba says so, too. */
const ACTIVE_DIRECTORY = '1.2.840.113556.1.4.800'
const PAGED_RESULTS = '1.2.840.113556.1.4.319'

const ATTRIBUTES = ['supportedCapabilities', 'supportedControl', 'namingContexts', 'defaultNamingContext']

/**
 * Reads the root DSE once, and after a failure again.
 *
 * @throws {DirectoryFailure} from what it returns
 */
export function createCapabilities(search: Search): (signal: AbortSignal) => Promise<Capabilities> {
  let known: Capabilities | undefined
  return async signal => {
    known ??= await readCapabilities(search, signal)
    return known
  }
}

async function readCapabilities(search: Search, signal: AbortSignal): Promise<Capabilities> {
  const answer = await search(
    {
      base: '',
      scope: 'base',
      filter: anything(),
      attributes: ATTRIBUTES,
      sizeLimit: 1,
    },
    signal,
  )
  const [raw] = answer.entries
  if (answer.code !== SUCCESS || raw === undefined) {
    const cause = `the root DSE, which says where groups are, cannot be read: ${describe(answer)}`
    throw new DirectoryFailure(cause, { phase: 'search' })
  }
  const entry = readEntry(raw)
  const contexts = entry.texts('namingContexts').toSorted((one, other) => other.length - one.length)
  const [standard] = entry.texts('defaultNamingContext')
  return {
    activeDirectory: entry.texts('supportedCapabilities').includes(ACTIVE_DIRECTORY),
    pages: entry.texts('supportedControl').includes(PAGED_RESULTS),
    // The longest holds it: Active Directory's configuration lies below the domain.
    contextOf: dn => contexts.find(context => context !== '' && isUnder(dn, context)) ?? standard,
  }
}
