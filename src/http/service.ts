import type { Authenticate, GetUser } from '../authentication/verdict.ts'
import type { Callers } from './security.ts'

/** What one configuration means for the apps; a reload swaps it whole. */
export interface Service {
  readonly callers: Callers
  readonly authenticate: Authenticate
  readonly getUser: GetUser
}
