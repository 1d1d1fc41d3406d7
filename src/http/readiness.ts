import type { BackendHealth } from '../authentication/backend.ts'

/** Where the daemon stands, from what it knows already: asking costs nothing. */
export interface Readiness {
  /** Attempts are answered only while `serving`. */
  readonly phase: 'starting' | 'serving' | 'stopping'
  /** Whether at least one backend can give verdicts, as the last probes saw it. */
  readonly ready: boolean
}

/** What the last probe of one backend saw. Reasons may name hosts, so they are for operators only. */
export type BackendStatus = BackendHealth & { readonly id: string }

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
