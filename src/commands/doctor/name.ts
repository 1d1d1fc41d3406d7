/** The name of `--user`, as a login would understand it. */
import {
  createUsernameNormaliser,
  type NormalisedUsername,
  type Realm,
} from '../../authentication/username.ts'
import type { Config } from '../../config/config.ts'
import { closeBackend, type LinkParts, openLink } from '../../links.ts'

/** By the domains of all enabled backends together, whichever are looked at. */
export async function readName(user: string, config: Config, parts: LinkParts): Promise<NormalisedUsername> {
  const realms: Realm[] = []
  for (const settings of config.backends.filter(({ enabled }) => enabled)) {
    try {
      const { backend } = await openLink(settings, parts)
      realms.push(...[backend.realm ?? []].flat())
      await closeBackend(backend, parts.log)
    } catch {
      // What is wrong with it is said where it is looked at.
    }
  }
  try {
    return createUsernameNormaliser(realms)(user)
  } catch (error) {
    return { ok: false, problem: `is not understood: ${error instanceof Error ? error.message : error}` }
  }
}
