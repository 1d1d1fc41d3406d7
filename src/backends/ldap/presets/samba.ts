import { activeDirectory } from './active-directory.ts'
import type { Preset } from './preset.ts'

/** A Samba domain controller speaks as Active Directory does, computed attributes and tokenGroups included. */
export const samba: Preset = { ...activeDirectory, nesting: 'token_groups' }
