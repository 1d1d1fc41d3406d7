import type { Log } from '../../../plugin.ts'
import type { Group, NamedGroup } from './group.ts'
import { overCap } from './group-search.ts'
import type { Parents } from './parents.ts'
import type { GroupSettings } from './settings.ts'

/**
 * These groups and all that they are in, level by level, each level in one round trip at most. A group that contains itself,
 * however far around, is walked through once.
 *
 * @throws {DirectoryFailure} also where there are more levels or groups than allowed
 */
export async function climb(
  from: readonly Group[],
  parents: Parents,
  { maxDepth, max }: GroupSettings,
  log: Log,
  signal: () => AbortSignal,
): Promise<readonly Group[]> {
  const found = new Map(from.map(group => [group.canonicalDn, group]))
  let level = from.filter(hasDn)
  for (let depth = 1; level.length > 0; depth++) {
    if (found.size > max) throw overCap(log, 'groups.max', max)
    const above: NamedGroup[] = []
    for (const parent of await parents.ofAll(level, signal)) {
      if (found.has(parent.canonicalDn)) continue
      if (depth > maxDepth) throw overCap(log, 'groups.max_depth', maxDepth)
      found.set(parent.canonicalDn, parent)
      above.push(parent)
    }
    level = above
  }
  return [...found.values()]
}

export function hasDn(group: Group): group is NamedGroup {
  return group.dn !== undefined
}
