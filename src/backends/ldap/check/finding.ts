import type { OptionProblem } from '../../../plugin.ts'
import type { LdapOptions } from '../options.ts'

/** Something wrong with one backend's options, at a JSON pointer into them. */
export type Finding = Omit<OptionProblem, 'backend' | 'severity'> & { readonly severity?: 'warning' }

export interface ConfiguredBackend {
  readonly id: string
  readonly options: LdapOptions
}

/** A key as a part of a JSON pointer (RFC 6901 section 3). */
export function pointerKey(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1')
}

/** What it gives, or what it throws. */
export function attempt<T extends object>(work: () => T): T | Error {
  try {
    return work()
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}
