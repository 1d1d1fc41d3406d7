import { UnavailableError } from '../../../plugin.ts'

type Phase = UnavailableError['phase']

interface Circumstances {
  readonly phase: Phase
  /** The user's secret may have reached the directory. */
  readonly credentialSent?: boolean
  /** Another connection may do better: this one broke, or could not be made. */
  readonly connectionLost?: boolean
  /** What `cause` says, in two parts, where something is known to help. */
  readonly explanation?: Explanation | undefined
}

/** Something wrong between us and a server, for operators. */
export interface Explanation {
  /** What is wrong, in one line without a full stop. */
  readonly reason: string
  /** What to do about it, in one line. */
  readonly advice?: string | undefined
}

/** The directory gave no answer that says anything about a user. */
export class DirectoryFailure extends UnavailableError {
  readonly credentialSent: boolean
  readonly connectionLost: boolean
  readonly explanation: Explanation | undefined

  constructor(cause: string, circumstances: Circumstances) {
    super(cause, circumstances.phase)
    this.credentialSent = circumstances.credentialSent ?? false
    this.connectionLost = circumstances.connectionLost ?? false
    this.explanation = circumstances.explanation
  }
}

/** What went wrong, in one line for operators: the system's error and what it stands for. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join(', ')
  return error instanceof Error ? error.message.replace(/\p{Cc}+/gu, ' ') : String(error)
}
