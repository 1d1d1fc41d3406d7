/** The lockout policy that holds for each person: read when it is needed, kept for a while, and said once where it is hidden. */
import { LRUCache } from 'lru-cache'
import type { Clock, Log } from '../../../plugin.ts'
import { DirectoryFailure } from '../wire/failure.ts'
import type { BadPasswords } from './bad-passwords.ts'
import { ASSUMED_THRESHOLD, type Holding, holdingFor, type ShieldOptions, type Shown } from './holding.ts'
import type { PolicyLookUp } from './look-up.ts'
import { createReading, type Reading } from './reading.ts'

/** @returns undefined where nothing ever locks the account; an outage is answered by what was known before */
export type Policies = (person: Pick<BadPasswords, 'settings'>) => Promise<Holding | undefined>

/** A domain has a handful; the longest unused goes first. */
const MAX_SETTINGS = 1_000

export function createPolicies(
  lookUp: PolicyLookUp,
  options: ShieldOptions,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): Policies {
  let isTold = false
  const domain = createReading<Shown>(readDomain, clock, onFailure)
  const settings = new LRUCache<string, Reading<Shown>>({ max: MAX_SETTINGS })

  async function readDomain(): Promise<Shown> {
    const { policy, sids, dn } = await lookUp.domain()
    if (!isTold) {
      const sees = dn === '' ? false : await seesSettings(dn, sids)
      isTold = sees !== undefined
      if (isTold) tell(policy, sees === true)
    }
    return policy
  }

  /** @returns undefined if nobody can say now */
  async function seesSettings(dn: string, sids: readonly string[]): Promise<boolean | undefined> {
    try {
      return await lookUp.seesSettings(dn, sids)
    } catch (error) {
      if (!(error instanceof DirectoryFailure)) throw error
      log.debug({ reason: error.message }, 'cannot look for password settings objects now')
      return undefined
    }
  }

  function tell(policy: Shown, seesAll: boolean): void {
    const assumed = options.threshold ?? ASSUMED_THRESHOLD
    if (policy === 'hidden') {
      log.warn(
        { assumed_threshold: assumed },
        'the service account cannot read the lockout policy of the domain: let it read lockoutThreshold, ' +
          'lockOutObservationWindow and lockoutDuration of its head, or set lockout_shield.threshold',
      )
    }
    if (!seesAll && options.threshold === undefined) {
      log.warn(
        { assumed_threshold: policy === 'hidden' ? assumed : policy.threshold },
        'the service account may not see whether there are password settings objects, and such an object overrides the domain: ' +
          'have an administrator look (Get-ADFineGrainedPasswordPolicy -Filter *), and set lockout_shield.threshold to the ' +
          'lowest LockoutThreshold above 0',
      )
    }
  }

  function onFailure({ message: reason }: DirectoryFailure, isKnown: boolean): void {
    if (isKnown) log.debug({ reason }, 'the lockout policy cannot be read now: the last one holds on')
    else log.warn({ reason }, 'the lockout policy cannot be read now: the shield assumes one until then')
  }

  function readingOf(dn: string): Reading<Shown> {
    const known = settings.get(dn)
    if (known) return known
    const reading = createReading(() => lookUp.settings(dn), clock, onFailure)
    settings.set(dn, reading)
    return reading
  }

  return async person => {
    // Also where its policy does not hold: by it comes the word on what the service account may see.
    const ofDomain = await domain()
    const ofPerson =
      person.settings === undefined ? undefined : ((await readingOf(person.settings)()) ?? 'hidden')
    return holdingFor(ofDomain, ofPerson, options)
  }
}
