/**
 * The person of `--user` over the whole chain: a backend that does not have them is in order if another one has. So what is
 * missing is said at the end, when all were looked at.
 */
import type { BackendConfig } from '../../config/config.ts'
import type { Finding } from '../../plugin.ts'

/** A finding, and the id of the backend that it is about. */
export interface About {
  readonly about: string
  readonly finding: Finding
}

export interface PersonInChain {
  /** @returns what is to be said now, if anything */
  take(backend: BackendConfig, finding: Finding): Finding | undefined
  /** What is left to be said. */
  end(): readonly About[]
}

/** @param backends that are looked at */
export function createPersonInChain(user: string, backends: readonly BackendConfig[]): PersonInChain {
  const several = backends.length > 1
  const notAsked = new Set<string>()
  const found: string[] = []
  const missing: About[] = []
  return {
    take({ id, deny }, finding) {
      if (finding.user === undefined) return finding
      if (finding.user === 'not_asked') {
        notAsked.add(id)
        return finding
      }
      // Whom a deny list does not have is not kept out by it.
      if (deny && finding.user === 'missing') {
        return { status: 'ok', check: finding.check, detail: 'not on this deny list' }
      }
      if (deny) {
        const detail = `on this deny list, so kept out; ${finding.detail}`
        return { status: 'warn', check: finding.check, detail }
      }
      if (finding.user === 'found') found.push(id)
      else if (several) missing.push({ about: id, finding })
      return finding.user === 'missing' && several ? undefined : finding
    },
    end() {
      const takers = backends.filter(({ deny }) => !deny)
      if (takers.length > 0 && takers.every(({ id }) => notAsked.has(id)))
        return [{ about: 'chain', finding: askedNowhere(user) }]
      if (missing.length === 0 || found.length === 0) return missing
      const others = missing.map(({ about }) => about).join(' and ')
      const detail = `${found.join(' and ')} ${found.length === 1 ? 'has' : 'have'} this name; not in ${others}`
      return [{ about: 'chain', finding: { status: 'ok', check: `user ${user}`, detail } }]
    },
  }
}

function askedNowhere(user: string): Finding {
  const detail = 'no backend is asked for this name, so nobody can log in with it'
  return { status: 'warn', check: `user ${user}`, detail, advice: 'correct `username_filter`, or the name' }
}
