/** What a server says about itself (RFC 4512 section 5.1): which kind of directory it is, and where people may be. */
import type { Finding } from '../../../plugin.ts'
import type { PresetName } from '../presets/presets.ts'
import { readGeneralizedTime } from '../presets/values.ts'
import { isUnder } from '../syntax/dn.ts'
import type { DirectoryEntry } from '../syntax/entry.ts'
import { formatSid } from '../syntax/sid.ts'
import { ok, warn } from './finding.ts'
import type { Session } from './session.ts'

export interface RootDse {
  /** The preset for it; undefined for a kind that none is for, or that is not known. */
  readonly preset: PresetName | undefined
  /** What it calls itself, for people. */
  readonly kind: string
  /** What `preset` should be, where it is for another kind; undefined if it fits, or nobody can say. */
  readonly betterPreset: PresetName | undefined
  readonly activeDirectory: boolean
  readonly namingContexts: readonly string[]
  /** Where an Active Directory domain's own people are. */
  readonly defaultContext: string | undefined
  /** SIDs of the account that asks, where the server says so. */
  readonly ownSids: readonly string[]
}

/** LDAP_CAP_ACTIVE_DIRECTORY_OID ([MS-ADTS] section 3.1.1.3.4.3). */
const ACTIVE_DIRECTORY = '1.2.840.113556.1.4.800'

/** domainFunctionality ([MS-ADTS] section 6.1.4.3). */
const LEVELS: ReadonlyMap<string, string> = new Map([
  ['0', '2000'],
  ['2', '2003'],
  ['3', '2008'],
  ['4', '2008 R2'],
  ['5', '2012'],
  ['6', '2012 R2'],
  ['7', '2016'],
  ['10', '2025'],
])

/** What each kind calls itself. */
const VENDORS: readonly (readonly [RegExp, PresetName, string])[] = [
  [/^samba/i, 'samba', 'Samba'],
  [/^lldap/i, 'lldap', 'LLDAP'],
  [/389 project|red hat|fedora/i, '389ds', '389 Directory Server'],
  [/jumpcloud/i, 'jumpcloud', 'JumpCloud'],
  [/google/i, 'google', 'Google Secure LDAP'],
  [/openldap/i, 'openldap', 'OpenLDAP'],
]

/** Presets that do for a kind besides its own. */
const ALSO_FIT: Partial<Record<PresetName, readonly PresetName[]>> = {
  samba: ['active-directory'],
}

const ATTRIBUTES = [
  'objectClass',
  'vendorName',
  'vendorVersion',
  'namingContexts',
  'defaultNamingContext',
  'supportedCapabilities',
  'domainFunctionality',
  'currentTime',
  'ipaTopologyIsManaged',
  'ipaTopologyPluginVersion',
  'tokenGroups',
]
/** Kerberos refuses what is further off, and so should whoever compares expiry times. */
const MAX_CLOCK_DIFFERENCE_MS = 300_000

/** @throws {DirectoryFailure} if no answer came */
export async function* readRootDse(
  session: Session,
  { url, preset, host }: { readonly url: string; readonly preset: PresetName; readonly host: string },
  wallMs: number,
): AsyncGenerator<Finding, RootDse | undefined> {
  const check = `directory ${url}`
  const entry = await session.read('', ATTRIBUTES)
  if (entry === undefined) {
    yield warn(check, 'it shows no root DSE', 'let everybody read the entry with the empty DN')
    return undefined
  }
  const kind = recognise(entry, host)
  const namingContexts = entry.texts('namingContexts')
  const contexts = namingContexts.length > 0 ? namingContexts.join(' and ') : 'none that it would tell'
  yield ok(check, `${kind.name}, naming contexts: ${contexts}`)
  const betterPreset = betterThan(preset, kind)
  if (betterPreset !== undefined) {
    yield warn(
      'preset',
      `\`preset: ${preset}\` is not for ${kind.name}`,
      `set \`preset: ${betterPreset}\`; \`id_attribute\` must then stay what it was, as it is in every user id`,
    )
  }
  yield* compareClocks(entry, url, wallMs)
  return {
    preset: kind.preset,
    kind: kind.name,
    betterPreset,
    activeDirectory: kind.activeDirectory,
    namingContexts,
    defaultContext: entry.texts('defaultNamingContext')[0],
    ownSids: entry.allOctets('tokenGroups').flatMap(octets => formatSid(octets) ?? []),
  }
}

interface Kind {
  readonly name: string
  readonly preset: PresetName | undefined
  readonly activeDirectory: boolean
}

function recognise(entry: DirectoryEntry, host: string): Kind {
  const [vendor = ''] = entry.texts('vendorName')
  const [version = ''] = entry.texts('vendorVersion')
  const activeDirectory = entry.texts('supportedCapabilities').includes(ACTIVE_DIRECTORY)
  const known = VENDORS.find(([pattern]) => pattern.test(vendor))
  const named = (name: string) => `${name}${version && ` (${version})`}`
  if (activeDirectory && known?.[1] === 'samba')
    return { name: named('Samba AD'), preset: 'samba', activeDirectory }
  if (activeDirectory) {
    const level = LEVELS.get(entry.texts('domainFunctionality')[0] ?? '')
    const name = `Active Directory${level === undefined ? '' : `, functional level ${level}`}`
    return { name, preset: 'active-directory', activeDirectory }
  }
  const isIpa = ['ipaTopologyIsManaged', 'ipaTopologyPluginVersion'].some(
    name => entry.texts(name).length > 0,
  )
  if (isIpa) return { name: named('FreeIPA'), preset: 'freeipa', activeDirectory }
  if (known) return { name: named(known[2]), preset: known[1], activeDirectory }
  if (/(^|\.)ldap\.google\.com$/i.test(host))
    return { name: 'Google Secure LDAP', preset: 'google', activeDirectory }
  if (/(^|\.)jumpcloud\.com$/i.test(host)) return { name: 'JumpCloud', preset: 'jumpcloud', activeDirectory }
  // slapd gives neither vendorName nor vendorVersion, but says so by its class.
  const isOpenldap = entry.texts('objectClass').some(name => /^OpenLDAProotDSE$/i.test(name))
  if (isOpenldap) return { name: 'OpenLDAP', preset: 'openldap', activeDirectory }
  return {
    name: vendor ? named(vendor) : 'a kind that does not say its name',
    preset: undefined,
    activeDirectory,
  }
}

function betterThan(preset: PresetName, kind: Kind): PresetName | undefined {
  if (kind.preset === undefined || preset === 'custom') return undefined
  return preset === kind.preset || ALSO_FIT[kind.preset]?.includes(preset) ? undefined : kind.preset
}

/** The naming context that holds a DN; else where a directory has its people. */
export function contextOf(dn: string, rootDse: RootDse | undefined): string {
  const contexts = rootDse?.namingContexts.toSorted((one, other) => other.length - one.length) ?? []
  return contexts.find(context => context !== '' && isUnder(dn, context)) ?? rootDse?.defaultContext ?? dn
}

function* compareClocks(entry: DirectoryEntry, url: string, wallMs: number): Generator<Finding> {
  const theirsMs = readGeneralizedTime(entry, 'currentTime')
  if (theirsMs === undefined) return
  const differenceMs = theirsMs - wallMs
  const seconds = Math.round(Math.abs(differenceMs) / 1000)
  const way = differenceMs > 0 ? 'ahead of' : 'behind'
  if (Math.abs(differenceMs) <= MAX_CLOCK_DIFFERENCE_MS) {
    yield ok(`clock ${url}`, seconds < 2 ? 'the same as ours' : `${seconds} s ${way} ours`)
  } else {
    const advice = 'set both by NTP: expiry times are compared with our clock'
    yield warn(`clock ${url}`, `${seconds} s ${way} ours`, advice)
  }
}
