/**
 * Keeps every account below what its directory bears, so that nobody is locked out of Windows by guessing here (lockout.md, AD
 * shield): counts with the entry's own count, and sends no password twice that was wrong a moment ago.
 */
import type { Attempt, Clock, Log, Outcome } from '../../../plugin.ts'
import type { Person } from '../person/user.ts'
import { type BadPasswords, liveCount } from './bad-passwords.ts'
import type { Holding } from './holding.ts'
import { type BindEnd, createLedger, type Page, type Taken } from './ledger.ts'
import type { Policies } from './policies.ts'
import { createWrongPasswords } from './wrong-passwords.ts'

/** What one login asks of it, in this order. */
export interface Watch {
  /** May an entry from the entry cache do, whose count may be an old one? */
  mayUseKept(person: Person): Promise<boolean>
  /**
   * To be asked right before the bind.
   *
   * @returns undefined if the password may be sent; else what the attempt comes to
   */
  admit(person: Person, attempt: Attempt): Promise<Outcome | undefined>
  /** What the bind came to; undefined if the password is right. */
  learn(refusal: Outcome | undefined): void
  /** To be called once, at the end. @param outcome of the login; undefined if it threw */
  close(outcome: Outcome | undefined): void
}

export interface Shield {
  /** To be called before the entry is searched for. */
  watch(): Watch
}

/** The attempt's lockout has no place: whatever is answered here is overridden. */
export const NOT_NOW: Outcome = {
  outcome: 'not_applicable',
  reason: 'the password may not be checked now',
}

/** Not sent again at least so long (lockout.md, AD shield), in milliseconds. */
const REMEMBERED_MS = 60_000
/** Our clock and the directory's need not agree. */
const LONGER_MS = 60_000
const DAY_MS = 86_400_000

/** The largest that Windows takes, 99,999 minutes: what lasts longer is left to the entry's own count. */
const LONGEST_WINDOW_MS = 99_999 * 60_000

/** For directories that have nothing to be shielded. */
export const NO_SHIELD: Shield = {
  watch: () => ({
    mayUseKept: async () => true,
    admit: async () => undefined,
    learn() {},
    close() {},
  }),
}

export function createShield(
  policies: Policies,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): Shield {
  const ledger = createLedger(clock)
  const wrongPasswords = createWrongPasswords(clock)
  let isHiddenCountTold = false

  /** The entry's own count, which is how the directory sees the account. */
  function shownCount(badPasswords: BadPasswords, { windowMs }: Holding): number {
    if (badPasswords.count === undefined && !isHiddenCountTold) {
      isHiddenCountTold = true
      log.warn(
        {},
        'the service account cannot read badPwdCount: wrong passwords that were typed elsewhere are not seen',
      )
    }
    return liveCount(badPasswords, windowMs, clock.wall())
  }

  async function take(
    page: Page,
    { dn, user }: Person,
    badPasswords: BadPasswords,
    holding: Holding,
    attempt: Attempt,
  ): Promise<Outcome | undefined> {
    const shown = shownCount(badPasswords, holding)
    attempt.note?.({ what: 'directory lockout', value: inWords(holding, shown) })
    // The first failure locks then: nobody could ever log in if none were risked.
    if (holding.threshold === 1) return undefined
    const taken = await page.take(user.id, shown, holding.threshold, attempt.signal)
    if (taken === 'full') {
      const { threshold, by } = holding
      attempt.log.warn(
        { dn, shown, threshold, by },
        'not sent: one more wrong password would lock the account in the directory',
      )
    }
    return refusalOf(taken, user.id, attempt)
  }

  function watch(): Watch {
    const page = ledger.open()
    let sent: { readonly person: Person; readonly attempt: Attempt; readonly windowMs: number } | undefined

    return {
      mayUseKept: async ({ badPasswords }) =>
        badPasswords === undefined || (await policies(badPasswords)) === undefined,

      async admit(person, attempt) {
        const { badPasswords, user } = person
        if (badPasswords === undefined) return undefined
        if (wrongPasswords.isRemembered(user.id, badPasswords.passwordSetAt, attempt.password)) {
          attempt.note?.({ what: 'bind', value: 'not sent: the same wrong password a moment ago' })
          return { outcome: 'wrong_password', subject: user.id }
        }
        const holding = await policies(badPasswords)
        if (holding) {
          const { threshold, windowMs } = holding
          const ceiling = { threshold, windowMs: Math.min(windowMs, LONGEST_WINDOW_MS) }
          if (!(await attempt.mayVerify(user.id, ceiling))) return NOT_NOW
          const refusal = await take(page, person, badPasswords, holding, attempt)
          if (refusal) return refusal
        }
        sent = { person, attempt, windowMs: holding?.windowMs ?? 0 }
        return undefined
      },

      learn(refusal) {
        page.end(endOf(refusal))
        if (sent === undefined) return
        const { person, attempt, windowMs } = sent
        const setAt = person.badPasswords?.passwordSetAt ?? ''
        if (refusal?.outcome === 'wrong_password') {
          wrongPasswords.remember(person.user.id, setAt, attempt.password, rememberedMs(setAt, windowMs))
        }
      },

      close(outcome) {
        // Here only if the bind threw: then it may have gone out.
        page.end(outcome?.outcome === 'unavailable' && !outcome.credentialSent ? 'unchecked' : 'unknown')
        page.close()
      },
    }
  }

  return { watch }
}

/**
 * How long the same wrong password is not sent again. A phone that goes on with an old one would else use up what the account
 * may fail: so until the directory has forgotten the failure, too. Where the entry does not tell when the password was
 * changed, what has become right since must be tried soon.
 */
function rememberedMs(setAt: string, windowMs: number): number {
  return setAt === '' ? REMEMBERED_MS : Math.min(Math.max(REMEMBERED_MS, windowMs + LONGER_MS), DAY_MS)
}

/** Whatever does not prove the password right may have been counted by the directory. */
function endOf(refusal: Outcome | undefined): BindEnd {
  if (refusal === undefined) return 'right'
  if (refusal.outcome === 'account_state' && refusal.passwordVerified) return 'right'
  return refusal.outcome === 'unavailable' ? 'unchecked' : 'wrong'
}

function refusalOf(taken: Taken, subject: string, { note }: Attempt): Outcome | undefined {
  switch (taken) {
    case 'taken':
      return undefined
    case 'full':
      note?.({
        what: 'bind',
        value: 'not sent: one more wrong password would lock the account in the directory',
      })
      return { outcome: 'account_state', subject, state: 'locked', passwordVerified: false }
    case 'unsure': {
      const cause =
        'binds that got no answer may have been counted: one more might lock the account in the directory'
      note?.({ what: 'bind', value: `not sent: ${cause}` })
      return { outcome: 'unavailable', cause, phase: 'bind', credentialSent: false }
    }
    case 'given_up': {
      const cause = 'other binds for this account were under way for too long'
      return { outcome: 'unavailable', cause, phase: 'bind', credentialSent: false }
    }
  }
}

function inWords({ threshold, by }: Holding, shown: number): string {
  return `after ${threshold} wrong passwords, by ${by}; ${shown} counted there now`
}
