/** What a password policy says beside the result of a bind (draft-behera-ldap-password-policy-11 section 6.2). */
import { MalformedMessage, readElements, readNumber, SEQUENCE } from './ber.ts'
import { encodeControl } from './request.ts'

const PASSWORD_POLICY = '1.3.6.1.4.1.42.2.27.8.5.1'

/** Asks for it (section 6.1): the control, encoded. */
export const ASK_POLICY = encodeControl(PASSWORD_POLICY)

export interface PolicyAnswer {
  /** The other errors of the draft are about changing a password, which nobody does here. */
  readonly error?: 'password_expired' | 'account_locked' | 'change_after_reset'
  readonly expiresInSeconds?: number
  readonly graceLogins?: number
}

const ERRORS: ReadonlyMap<number, NonNullable<PolicyAnswer['error']>> = new Map([
  [0, 'password_expired'],
  [1, 'account_locked'],
  [2, 'change_after_reset'],
])

const WARNING = 0xa0
const TIME_BEFORE_EXPIRATION = 0x80
const GRACE_LOGINS = 0x81
const ERROR = 0x81

/**
 * @returns undefined if the directory has no policy for this account, or answered without one
 * @throws {MalformedMessage}
 */
export function readPolicy(controls: ReadonlyMap<string, Buffer>): PolicyAnswer | undefined {
  const octets = controls.get(PASSWORD_POLICY)
  if (octets === undefined) return undefined
  const [value, ...more] = readElements(octets)
  if (value?.tag !== SEQUENCE || more.length > 0) throw new MalformedMessage('the policy cannot be read')
  let answer: PolicyAnswer = {}
  for (const { tag, content } of readElements(value.content)) {
    if (tag === WARNING) answer = { ...answer, ...readWarning(content) }
    else if (tag === ERROR) answer = { ...answer, ...readError(content) }
    else throw new MalformedMessage('the policy says something unknown')
  }
  return answer
}

function readWarning(octets: Buffer): PolicyAnswer {
  const [warning] = readElements(octets)
  switch (warning?.tag) {
    case TIME_BEFORE_EXPIRATION: {
      const expiresInSeconds = readCount(warning.content)
      return expiresInSeconds === undefined ? {} : { expiresInSeconds }
    }
    case GRACE_LOGINS: {
      const graceLogins = readCount(warning.content)
      return graceLogins === undefined ? {} : { graceLogins }
    }
    default:
      throw new MalformedMessage('the policy warns of something unknown')
  }
}

/** INTEGER (0 .. maxInt); a negative one says nothing. */
function readCount(octets: Buffer): number | undefined {
  const count = readNumber(octets)
  return count < 0 ? undefined : count
}

function readError(octets: Buffer): PolicyAnswer {
  const error = ERRORS.get(readNumber(octets))
  return error === undefined ? {} : { error }
}
