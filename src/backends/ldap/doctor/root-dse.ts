/** What a server says about itself (RFC 4512 section 5.1): which kind of directory it is, and where people may be. */
import type { Finding } from '../../../plugin.ts'
import { idAttributeOf } from '../effective.ts'
import type { LdapOptions } from '../options.ts'
import { type PresetName, presets } from '../presets/presets.ts'
import { readGeneralizedTime } from '../presets/values.ts'
import { isUnder } from '../syntax/dn.ts'
import type { DirectoryEntry } from '../syntax/entry.ts'
import { formatSid } from '../syntax/sid.ts'
import { ok, warn } from './finding.ts'
import type { Session } from './session.ts'

export interface RootDse {
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

export interface RootDseOf {
  readonly url: string
  readonly host: string
  readonly options: LdapOptions
}

/** @throws {DirectoryFailure} if no answer came */
export async function* readRootDse(
  session: Session,
  { url, host, options }: RootDseOf,
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
  const { preset } = options
  const betterPreset = betterThan(preset, kind)
  if (betterPreset !== undefined) {
    const detail = `\`preset: ${preset}\` is not for ${kind.name}`
    yield warn('preset', detail, adviceOnPreset(betterPreset, options, kind))
  }
  yield* compareClocks(entry, url, wallMs)
  return {
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

/** Whatever goes into user ids: with another attribute each has another one, and apps tell people apart by them. */
function adviceOnPreset(better: PresetName, options: LdapOptions, { activeDirectory }: Kind): string {
  const set = `set \`preset: ${better}\``
  const { id_attribute } = options
  const before = idAttributeOf(options)
  const after = presets[better].idAttribute
  if (before === undefined || after === undefined || same(before, after)) return set
  const anew = 'to apps everybody who had an id is somebody new'
  const isHere = activeDirectory === same(before, OBJECT_GUID)
  if (isHere) {
    return id_attribute === undefined
      ? `${set} and \`id_attribute: ${before}\` if ids were given out by that here: else they are made from ${after}, and ${anew}`
      : `${set}; \`id_attribute\` keeps the ids as they are`
  }
  const out = id_attribute === undefined ? '' : ' and take out `id_attribute`'
  return `${set}${out}: ids are then made from ${after}, as this directory has no ${before}, and ${anew}`
}

/** What Active Directory makes ids of, and nobody else has. */
const OBJECT_GUID = 'objectGUID'

function same(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase()
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
