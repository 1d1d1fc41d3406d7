import type { Authenticate, GetUser } from '../authentication/verdict.ts'
import type { Callers } from './security.ts'

/** What one configuration means for the apps; a reload swaps it whole. */
export interface Service {
  readonly callers: Callers
  readonly authenticate: Authenticate
  readonly getUser: GetUser
  /** `hidden`: an app sees a wrong password where somebody is locked out (api.md, POST /authenticate). */
  readonly lockoutDisclosure: 'shown' | 'hidden'
}
