import { checkPassword } from '../authentication/password.ts'
import type { Secret } from '../authentication/secret.ts'
import { whyCommon } from './common.ts'

/** In code points: what NIST asks of a password that is the only factor (security.md S25; SP 800-63B-4 §3.1.1.2). */
const LEAST_CODE_POINTS = 15
const PRODUCT = 'gatehouse'

export type PolicyAnswer = { readonly ok: true } | { readonly ok: false; readonly problem: string }

/**
 * May this become somebody's local password? It must be one that a login can send, long enough, and none of the
 * user's own names nor anything else that would be tried first (S26). No composition rules, no expiry, no hints (S25).
 * `problem` is a sentence, safe to show.
 *
 * @param names the user's own names: username, e-mail address, display name
 */
export function checkNewPassword(password: Secret, names: readonly string[]): PolicyAnswer {
  const possible = checkPassword(password)
  if (!possible.ok) return refuse(`the password ${possible.problem}`)
  const plain = password.reveal()
  const length = Array.from(plain).length
  if (length < LEAST_CODE_POINTS) {
    return refuse(`the password has ${length} characters and needs at least ${LEAST_CODE_POINTS}`)
  }
  if (names.some(name => alike(name) === alike(plain)))
    return refuse("the password is one of the user's own names")
  const why = whyCommon(plain, [PRODUCT, ...names])
  if (why !== undefined) return refuse(`the password ${why}`)
  return { ok: true }
}

/** For the comparison only; the password itself is never changed. */
function alike(text: string): string {
  return text.normalize('NFKC').trim().toLowerCase()
}

function refuse(problem: string): PolicyAnswer {
  return { ok: false, problem }
}
