/** The kinds of directory (docs/directories.md), one line each; what differs between them is in a file each. */
import { directoryServer389 } from './389ds.ts'
import { activeDirectory } from './active-directory.ts'
import { custom } from './custom.ts'
import { freeipa } from './freeipa.ts'
import { google } from './google.ts'
import { jumpcloud } from './jumpcloud.ts'
import { lldap } from './lldap.ts'
import { openldap } from './openldap.ts'
import type { Preset } from './preset.ts'
import { samba } from './samba.ts'

export const presets = {
  'active-directory': activeDirectory,
  samba,
  openldap,
  freeipa,
  '389ds': directoryServer389,
  lldap,
  google,
  jumpcloud,
  custom,
} as const satisfies Record<string, Preset>

export type PresetName = keyof typeof presets
