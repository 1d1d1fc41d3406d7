/** Which keys an attempt is counted under, and the limit of each (lockout.md, Keys and default limits). */
import { BlockList, isIPv4 } from 'node:net'
import { LRUCache } from 'lru-cache'
import type { Ceiling, LockKind } from '../authentication/lockout.ts'
import { type Account, type LockoutKeys, sourcePrefix, subnetPrefix } from './keys.ts'
import { directoryLimits, type LockoutSettings, limitsOf } from './limits.ts'
import type { AccountCounter, Counter, Place } from './store.ts'

/** What is counted for one account, asked for from one source. */
export interface AccountPlaces {
  readonly profile: string
  /** Of its own, from here and from everywhere; empty where nothing is counted. */
  readonly counts: readonly Place[]
  /** Keys that a right password clears. */
  readonly cleared: readonly string[]
  /** What a right password takes out of its half-open state. */
  readonly passed: readonly Place[]
}

/** Everything about one source. */
export interface SourcePlaces {
  readonly key: string
  /** Attempts from here are refused, whoever it is. */
  readonly blocked: boolean
  /** Whether counts of this kind refuse nobody here. */
  watches(kind: LockKind): boolean
  account(account: Account): AccountPlaces
  /** This name is somebody's: its places may be kept. What else is typed may be a password in the wrong box. */
  remember(name: string): void
  /** @param account whom the failure is about: a source may fail on so many accounts */
  source(account: string): readonly Counter[]
  /** Of one subject at a directory that locks by itself, in every mode: there it is no lock of ours to switch off. */
  directory(subject: string, ceiling: Ceiling): readonly Place[]
}

/** The places of an account, as they were from one source. */
interface KnownAccount {
  readonly sourceKey: string
  readonly places: AccountPlaces
}

/** What is the same for every attempt from one address. */
interface Origin {
  readonly prefix: string
  readonly sourceKey: string
  readonly subnetKey: string
  readonly isAllowed: boolean
  readonly isBlocked: boolean
}

/** Addresses, names and subjects whose places are at hand: as many as an intranet of ten thousand people uses in a day. */
const MOST_KNOWN = 16_384
/** So much of an account's key tells it from others of one source. */
const ACCOUNT_TAG_LENGTH = 8

/** @returns what makes the places of one canonical address; it throws {TypeError} for another (keys.ts) */
export function createPlaces(
  settings: LockoutSettings,
  keys: LockoutKeys,
): (address: string) => SourcePlaces {
  const { mode, profile: scheme } = settings
  const limits = limitsOf(settings)
  const allowed = cidrs(settings.allow)
  const blocked = cidrs(settings.block)

  /** Of addresses that were seen last: an app that tells none comes from one. */
  const origins = new LRUCache<string, Origin>({ max: MOST_KNOWN, memoMethod: originOf })

  /** By `<backend id>:<stable id>`. */
  const subjects = new LRUCache<string, KnownAccount>({ max: MOST_KNOWN })
  /** Only of names that were found to be somebody's. */
  const names = new LRUCache<string, KnownAccount>({ max: MOST_KNOWN })

  function originOf(address: string): Origin {
    const prefix = sourcePrefix(address)
    return {
      prefix,
      sourceKey: keys.source('source', prefix),
      subnetKey: keys.source('subnet', subnetPrefix(address)),
      isAllowed: isIn(allowed, address),
      isBlocked: isIn(blocked, address),
    }
  }

  return address => {
    const { prefix, sourceKey, subnetKey, isAllowed, isBlocked } = origins.memo(address)
    /** Of this attempt: a handful. */
    const accounts: { readonly account: Account; readonly places: AccountPlaces }[] = []

    function watches(kind: LockKind): boolean {
      if (kind === 'directory') return false
      return mode === 'log_only' || (isAllowed && (kind === 'source' || kind === 'subnet'))
    }

    function account(account: Account): AccountPlaces {
      for (const known of accounts) if (isSame(known.account, account)) return known.places
      const known = 'name' in account ? names.get(account.name) : subjects.get(account.subject)
      const places =
        known?.sourceKey === sourceKey
          ? known.places
          : placesOf(known?.places.profile ?? keys.account(account), 'name' in account)
      if ('subject' in account && known?.places !== places)
        subjects.set(account.subject, { sourceKey, places })
      accounts.push({ account, places })
      return places
    }

    function remember(name: string): void {
      const places = account({ name })
      if (names.get(name)?.places !== places) names.set(name, { sourceKey, places })
    }

    function placesOf(profile: string, unresolved: boolean): AccountPlaces {
      if (mode === 'off') return { profile, counts: NONE, cleared: NONE, passed: NONE }
      const watched = watches('pair')
      const count = (kind: 'pair' | 'familiar' | 'unfamiliar', key: string): Counter => {
        return { key, kind, limit: limits[kind], account: '', owner: profile, unresolved, watched }
      }
      const unfamiliar = count('unfamiliar', keys.everywhere(profile, 'unfamiliar'))
      if (scheme === 'simple')
        return { profile, counts: [unfamiliar], cleared: [unfamiliar.key], passed: NONE }
      const pair = count('pair', keys.pair(profile, prefix))
      const familiar = count('familiar', keys.everywhere(profile, 'familiar'))
      const everywhere: AccountCounter = { profile, source: sourceKey, familiar, unfamiliar }
      // The unfamiliar count is left as it is: a right password says nothing of the guesses from elsewhere.
      return { profile, counts: [pair, everywhere], cleared: [pair.key], passed: [familiar] }
    }

    function source(account: string): readonly Counter[] {
      if (mode === 'off' || scheme === 'simple') return NONE
      const watched = watches('source')
      const count = (kind: 'source' | 'subnet', key: string, account: string): Counter => {
        return { key, kind, limit: limits[kind], account, owner: undefined, unresolved: undefined, watched }
      }
      const tag = account.slice(0, ACCOUNT_TAG_LENGTH)
      return [count('source', sourceKey, tag), count('subnet', subnetKey, '')]
    }

    function directory(subject: string, ceiling: Ceiling): readonly Place[] {
      const owner = account({ subject }).profile
      const { half, all } = directoryLimits(ceiling)
      const count = (which: 'all' | 'familiar' | 'unfamiliar'): Counter => ({
        kind: 'directory',
        key: keys.everywhere(owner, 'directory', which),
        limit: which === 'all' ? all : half,
        account: '',
        owner,
      })
      const [familiar, unfamiliar] = [count('familiar'), count('unfamiliar')]
      return [{ profile: owner, source: sourceKey, familiar, unfamiliar }, count('all')]
    }

    return { key: sourceKey, blocked: isBlocked, watches, account, remember, source, directory }
  }
}

const NONE: readonly never[] = []

function isSame(one: Account, other: Account): boolean {
  if ('name' in one) return 'name' in other && one.name === other.name
  return 'subject' in other && one.subject === other.subject
}

/** Every key that a place may mean. */
export function keysOf(place: Place): readonly string[] {
  return 'profile' in place ? [place.familiar.key, place.unfamiliar.key] : [place.key]
}

function cidrs(list: readonly string[]): BlockList {
  const blocks = new BlockList()
  for (const cidr of list) {
    const [network = '', bits] = cidr.split('/')
    blocks.addSubnet(network, Number(bits), isIPv4(network) ? 'ipv4' : 'ipv6')
  }
  return blocks
}

function isIn(list: BlockList, address: string): boolean {
  return list.check(address, isIPv4(address) ? 'ipv4' : 'ipv6')
}
