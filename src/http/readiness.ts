import type { BackendHealth } from '../authentication/backend.ts'

/** Where the daemon stands, from what it knows already: asking costs nothing. */
export interface Readiness {
  /** Attempts are answered only while `serving`. */
  readonly phase: 'starting' | 'serving' | 'stopping'
  /** Whether at least one backend can give verdicts, as the last probes saw it, and attempts can be counted. */
  readonly ready: boolean
}

/** What the last probe of one backend saw. Reasons may name hosts, so they are for operators only. */
export type BackendStatus = BackendHealth & { readonly id: string }

/** Of the lockout's counts and of the audit trail: away is not to say unready, where logins may go on without. */
export type StoreStatus = { readonly ok: true } | { readonly ok: false; readonly reason: string }

/** How the last load of the configuration went. */
export interface ConfigStatus {
  readonly ok: boolean
  /** Why the one on disk was refused, for operators. */
  readonly reason?: string
  /** Of the one that is served, in milliseconds since the Unix epoch. */
  readonly loadedAt: number
  /** Keys that are not as in the file, because only a restart can apply them. */
  readonly needsRestart: readonly string[]
}
