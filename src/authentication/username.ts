/** The one name normalisation, for counting and for look-up (lockout.md). */

/** The domains one backend owns, so that `CORP\alice` and `alice@corp.example` are understood. */
export interface Realm {
  /** Down-level name, such as `CORP`. */
  readonly netbios?: string
  /** UPN suffixes; the first is the canonical one. */
  readonly suffixes: readonly string[]
}

export interface Username {
  /** The whole normalised name. With a known domain always `user@canonical-suffix`. The key for counting. */
  readonly text: string
  /** Without a known domain: the same as `text` for a name that carries none. */
  readonly user: string
  /** The canonical suffix, when the name carried a domain that a backend owns. */
  readonly domain?: string
}
