import { DirectoryFailure } from '../wire/failure.ts'
import type { Group, NamedGroup } from './group.ts'
import { hasDn } from './levels.ts'
import type { Parents } from './parents.ts'

/** How a person came to a group, for operators. */
export interface GroupPath {
  readonly group: Group
  /** The groups between, from this one down to the one that the person is directly in; undefined if no way was found. */
  readonly through: readonly Group[] | undefined
  /** The path starts at Active Directory's primary group. */
  readonly primary: boolean
}

interface Step {
  readonly group: Group
  readonly below: Step | undefined
}

/**
 * The shortest path to each group, by walking upward from the direct ones. Where the walk fails or ends before all are found,
 * the others have none: it explains, and decides nothing.
 *
 * @param groups what was found, in whatever way
 * @param primary one of `direct` at most
 */
export async function findPaths(
  groups: readonly Group[],
  direct: readonly Group[],
  primary: Group | undefined,
  parents: Parents,
  maxDepth: number,
  signal: () => AbortSignal,
): Promise<readonly GroupPath[]> {
  const steps = new Map(direct.map(group => [group.canonicalDn, { group, below: undefined } as Step]))
  const sought = new Set(groups.map(({ canonicalDn }) => canonicalDn))
  let level = [...steps.values()]
  try {
    for (let depth = 0; depth <= maxDepth && level.length > 0; depth++) {
      for (const step of level) sought.delete(step.group.canonicalDn)
      if (sought.size === 0) break
      level = await stepUp(level, steps, parents, signal)
    }
  } catch (error) {
    if (!(error instanceof DirectoryFailure)) throw error
  }
  return groups.map(group => {
    const way = steps.get(group.canonicalDn)
    const through = way && downFrom(way.below)
    const first = through?.at(-1) ?? group
    return { group, through, primary: way !== undefined && first.canonicalDn === primary?.canonicalDn }
  })
}

/** `Wiki Admins ← Wiki ← Staff ← alice`: each is in the one before it. */
export function showPath({ group, through, primary }: GroupPath, username: string): string {
  const end = primary ? `${username} (primary group)` : username
  if (through === undefined) return `${group.name} (the directory says so; the way there cannot be seen)`
  return [group.name, ...through.map(({ name }) => name), end].join(' ← ')
}

async function stepUp(
  level: readonly Step[],
  steps: Map<string, Step>,
  parents: Parents,
  signal: () => AbortSignal,
): Promise<Step[]> {
  const above: Step[] = []
  // One after the other, so that among equally short paths it is always the same one, and nobody's login waits behind it.
  for (const below of level) {
    const theirs: readonly NamedGroup[] = hasDn(below.group) ? await parents.of(below.group, signal) : []
    for (const group of theirs) {
      if (steps.has(group.canonicalDn)) continue
      const step = { group, below }
      steps.set(group.canonicalDn, step)
      above.push(step)
    }
  }
  return above
}

function downFrom(step: Step | undefined): readonly Group[] {
  const groups: Group[] = []
  for (let at = step; at; at = at.below) groups.push(at.group)
  return groups
}
