/** How logins are explained under one configuration, for whoever runs its chain: the daemon, and `explain` without one. */
import { OPERATOR } from './authentication/caller.ts'
import type { Link } from './authentication/chain.ts'
import { systemClock } from './authentication/clock.ts'
import { createExplain, type ExplainParts } from './authentication/explain.ts'
import type { Place } from './authentication/place.ts'
import type { Rules } from './authentication/rule.ts'
import type { BackendConfig, Config } from './config/config.ts'
import type { Explainer } from './http/routes/explain.ts'

export function createExplainer(
  config: Pick<Config, 'backends' | 'clients' | 'deadlineMs'>,
  {
    links,
    ...parts
  }: Omit<ExplainParts, 'places' | 'deadlineMs' | 'clock'> & { readonly links: readonly Link[] },
): Explainer {
  const byId = new Map(links.map(link => [link.backend.id, link]))
  return {
    explain: createExplain({
      ...parts,
      places: config.backends.map(settings => placeOf(settings, byId.get(settings.id))),
      deadlineMs: config.deadlineMs,
      clock: systemClock,
    }),
    callerOf(id) {
      if (id === undefined) return { id: OPERATOR, requiredGroups: [] }
      const client = config.clients.find(candidate => candidate.id === id)
      if (client === undefined) return undefined
      const { backends, requiredGroups, attributes } = client
      return {
        id: OPERATOR,
        requiredGroups,
        ...(backends && { backends: new Set(backends) }),
        ...(attributes && { attributes: new Set(attributes) }),
      }
    },
  }
}

function placeOf(settings: BackendConfig, link: Link | undefined): Place {
  const { id, type, plugin, options } = settings
  const preferred: Partial<Rules> = (link && plugin.on?.(options)) ?? {}
  const from = presetOf(options) ?? `backends of type ${type}`
  const ruleOrigins = Object.fromEntries(
    Object.entries(preferred).flatMap(([option, word]) =>
      link?.on[option as keyof Rules] === word ? [[option, from]] : [],
    ),
  )
  return { id, type, ...(link && { link }), ruleOrigins }
}

function presetOf(options: unknown): string | undefined {
  const preset = typeof options === 'object' && options !== null && 'preset' in options && options.preset
  return typeof preset === 'string' ? `preset ${preset}` : undefined
}
