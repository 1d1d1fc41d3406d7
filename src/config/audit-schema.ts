import { Type } from 'typebox'
import { DaysOption, PathOption, WordOption } from './options.ts'

/** The section `audit`. */
export const AuditTrail = Type.Object(
  {
    enabled: Type.Boolean({
      default: true,
      description: '`false`: no trail. Nobody can prove later who has logged in.',
    }),
    file: Type.Optional(
      PathOption(
        'SQLite file of the trail. Absent: beside the `database` and by its name, such as `data/gatehouse-audit.db`.',
      ),
    ),
    names: WordOption(
      ['known', 'plain', 'hash'],
      '`known`: the name where a backend knew it, and always its keyed hash, as in the log. `plain`: also a name that nobody has, which may be a password in the wrong box. `hash`: the hash alone.',
      'known',
    ),
    on_failure: WordOption(
      ['deny', 'allow_and_alarm'],
      'While a row cannot be written: `deny` answers 503, `allow_and_alarm` lets logins go on without it. Either is an alarm.',
      'deny',
    ),
    retention: DaysOption('Older rows are cut off; the chain says so and can still be verified.', '400d'),
  },
  { default: {}, description: 'The audit trail: one row per attempt, chained by hashes.' },
)
