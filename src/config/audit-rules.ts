/** What the schema cannot say of the audit trail. */
import { resolve } from 'node:path'
import type { Ground } from './ground.ts'
import { spanOf } from './places.ts'

/** Reports every broken rule of `audit` of which the values are sound. */
export function checkAudit({ values, places, report, sound }: Ground): void {
  if (!sound('/audit')) return
  const { enabled, file, names } = values.audit
  if (!enabled) {
    const hint = 'remove it, unless the log is kept somewhere as well'
    report.warning(spanOf(places, '/audit/enabled'), 'nobody can prove later who has logged in', hint)
  }
  if (names === 'plain') {
    const hint = 'passwords typed into the wrong box stay in the trail; `known` is safe'
    report.warning(spanOf(places, '/audit/names'), 'names that nobody has are written down as typed', hint)
  }
  if (sound('/database') && file !== undefined && resolve(file) === resolve(values.database)) {
    report.error(
      spanOf(places, '/audit/file'),
      'this is the `database`',
      'the audit trail has a file of its own',
    )
  }
}
