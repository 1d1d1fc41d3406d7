import { UnavailableError } from '../../plugin.ts'

type Phase = UnavailableError['phase']

interface Circumstances {
  readonly phase: Phase
  /** The user's secret may have reached the directory. */
  readonly credentialSent?: boolean
  /** Another connection may do better: this one broke, or could not be made. */
  readonly connectionLost?: boolean
}

/** The directory gave no answer that says anything about a user. */
export class DirectoryFailure extends UnavailableError {
  readonly credentialSent: boolean
  readonly connectionLost: boolean

  constructor(cause: string, { phase, credentialSent = false, connectionLost = false }: Circumstances) {
    super(cause, phase)
    this.credentialSent = credentialSent
    this.connectionLost = connectionLost
  }
}

/** What went wrong, in one line for operators: the system's error and what it stands for. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join(', ')
  return error instanceof Error ? error.message.replace(/\p{Cc}+/gu, ' ') : String(error)
}
