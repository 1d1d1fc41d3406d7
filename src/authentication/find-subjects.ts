import { subjectOf } from './ask.ts'
import { type Link, whySkipped } from './chain.ts'
import type { Log } from './log.ts'
import { lookAt, type Sighting } from './look.ts'
import type { Username } from './username.ts'

/** Whom a name finds at all backends, without a password. */
export interface FoundSubjects {
  /** `<backend id>:<stable id>`, each once. */
  readonly subjects: readonly string[]
  /** Backends that may know the name and could not say whom it is. */
  readonly silent: readonly SilentBackend[]
}

export interface SilentBackend {
  readonly backend: string
  /** In words. */
  readonly reason: string
}

/** Never rejects: a backend that is out is one of the silent. */
export type FindSubjects = (username: Username) => Promise<FoundSubjects>

/** Asks everybody at once: wherever the name was somebody, that one was charged. */
export function createFindSubjects(links: readonly Link[], log: Pick<Log, 'error'>): FindSubjects {
  return async function findSubjects(username) {
    // A deny list verifies nothing, so none of its subjects is ever charged.
    const asked = links.filter(link => !link.deny && whySkipped(link, { username }) === undefined)
    const answers = await Promise.all(
      asked.map(async link => {
        const { backend, timeoutMs } = link
        const sighting = await lookAt(link, { username, timeoutMs, note() {}, log })
        const reason = whySilent(sighting)
        return {
          subjects: sighting.found === 'one' ? [subjectOf(backend, sighting.user.id)] : [],
          silent: reason === undefined ? [] : [{ backend: backend.id, reason }],
        }
      }),
    )
    return {
      subjects: [...new Set(answers.flatMap(({ subjects }) => subjects))],
      silent: answers.flatMap(({ silent }) => silent),
    }
  }
}

function whySilent(sighting: Sighting): string | undefined {
  switch (sighting.found) {
    case 'one':
    case 'none':
    case 'not_applicable':
      return undefined
    case 'several':
      return `${sighting.count} principals match`
    case 'not_looked':
      return 'it can say nothing without a password'
    case 'unavailable':
      return sighting.reason
  }
}
