/** The `checks:` of the configuration, as a reload would make them. */

import type { Link } from '../../authentication/chain.ts'
import { type CheckResult, runChecks } from '../../authentication/checks.ts'
import { createUsernameNormaliser } from '../../authentication/username.ts'
import type { Config } from '../../config/config.ts'
import { closeBackend, type LinkParts, openLink } from '../../links.ts'
import type { Finding } from '../../plugin.ts'

export interface ChecksExamined extends LinkParts {
  readonly config: Config
  /** Ids of the backends whose checks are asked for. */
  readonly chosen: ReadonlySet<string>
  /** Ids of those whose service account was refused: they are not asked, as each try may count. */
  readonly refused: ReadonlySet<string>
}

/** Never throws; each backend takes no longer than its `timeout`. */
export async function* examineChecks(about: ChecksExamined): AsyncGenerator<Finding> {
  const { config, chosen, refused, log } = about
  const checks = config.checks.filter(({ backend }) => chosen.has(backend))
  for (const { user, backend } of checks) {
    if (!refused.has(backend)) continue
    const detail = `not looked for: the service account of ${backend} was refused`
    yield { status: 'warn', check: `check ${user} at ${backend}`, detail }
  }
  const open = checks.filter(({ backend }) => !refused.has(backend))
  if (open.length === 0) return
  await using opened = new AsyncDisposableStack()
  const links: Link[] = []
  // All of them, as a name is understood by the domains of all.
  for (const settings of config.backends.filter(({ enabled }) => enabled)) {
    try {
      const link = await openLink(settings, about)
      opened.defer(() => closeBackend(link.backend, log))
      links.push(link)
    } catch (error) {
      if (!open.some(({ backend }) => backend === settings.id)) continue
      const detail = error instanceof Error ? error.message : String(error)
      yield { status: 'fail', check: `checks at ${settings.id}`, detail }
    }
  }
  const asked = open.filter(({ backend: id }) => links.some(({ backend }) => backend.id === id))
  yield* (await runChecks(asked, { links, normalise: normaliserOf(links), log })).map(asFinding)
}

function normaliserOf(links: readonly Link[]) {
  return createUsernameNormaliser(links.flatMap(({ backend }) => backend.realm ?? []))
}

function asFinding({ check: { user, backend, expect }, result, reason }: CheckResult): Finding {
  const check = `check ${user} at ${backend}`
  const detail = reason.replace(`${user} at ${backend}: `, '')
  switch (result) {
    case 'passed':
      return { status: 'ok', check, detail: expect.found ? 'found, as expected' : 'kept out, as expected' }
    case 'failed':
      return { status: 'fail', check, detail, advice: 'correct the backend, or what `checks` expects' }
    case 'unknown':
      return { status: 'warn', check, detail: `nobody can say now: ${detail}` }
  }
}
