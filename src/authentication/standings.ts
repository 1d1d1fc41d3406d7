import type { Lockout, Standing } from './lockout.ts'

export interface SubjectStanding extends Standing {
  /** `<backend id>:<stable id>` */
  readonly subject: string
}

/** Where a login stands with the lockout: by its name, its source, and whom the name was found to be. */
export interface LockoutState {
  readonly name: readonly Standing[]
  readonly source: readonly Standing[]
  readonly subjects: readonly SubjectStanding[]
}

/** Looks, and changes nothing. Rejects as `inspect` does. */
export async function standingsOf(
  inspect: Lockout['inspect'],
  asker: Parameters<Lockout['inspect']>[0],
  subjects: readonly string[],
): Promise<LockoutState> {
  const [{ name, source }, ...bySubject] = await Promise.all([
    inspect(asker),
    ...subjects.map(async subject => {
      const standings = await inspect(asker, subject)
      return standings.subject.map(standing => ({ subject, ...standing }))
    }),
  ])
  return { name, source, subjects: bySubject.flat() }
}

/** The one that holds longest, of those that refuse. */
export function longestLock<S extends Standing>(
  standings: readonly S[],
): (S & { readonly lockedForMs: number }) | undefined {
  let longest: (S & { readonly lockedForMs: number }) | undefined
  for (const standing of standings) {
    const { lockedForMs, watched } = standing
    if (lockedForMs === undefined || watched || lockedForMs <= (longest?.lockedForMs ?? 0)) continue
    longest = { ...standing, lockedForMs }
  }
  return longest
}
