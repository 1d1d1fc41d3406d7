import type { LdapOptions } from '../options.ts'
import type { Preset } from '../presets/preset.ts'
import { presets } from '../presets/presets.ts'
import type { RootDse } from './root-dse.ts'

/**
 * The preset that fits the directory, where it says something else than the one in use: it helps only there.
 *
 * @param about what is wrong with the one in use
 */
export function betterAbout(
  about: keyof Preset,
  { preset }: LdapOptions,
  rootDse: RootDse | undefined,
): RootDse['betterPreset'] {
  const better = rootDse?.betterPreset
  return better !== undefined && presets[better][about] !== presets[preset][about] ? better : undefined
}
