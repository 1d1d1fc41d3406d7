import type { Findings } from './findings.ts'
import { parseCidr } from './network.ts'
import { spanOf } from './places.ts'
import type { ConfigValues } from './schema.ts'
import type { Place } from './values.ts'

/** The values of a file, some of them possibly faulty, and where they stand. */
export interface Ground {
  readonly values: ConfigValues
  readonly places: ReadonlyMap<string, Place>
  readonly report: Findings
  /** Is the value with this JSON pointer, and everything in it, what the schema wants? */
  sound(pointer: string): boolean
}

/** Reports each sound text of a list that is no network; a list that is none has been reported. */
export function checkNetworks(list: readonly string[], pointer: string, ground: Ground): void {
  if (!Array.isArray(list)) return
  for (const [index, text] of list.entries()) {
    const at = `${pointer}/${index}`
    if (ground.sound(at)) checkNetwork(text, at, ground)
  }
}

/** Reports a text that is neither a network nor an address. */
export function checkNetwork(text: string, pointer: string, { places, report }: Ground): void {
  if (parseCidr(text) !== undefined) return
  report.error(
    spanOf(places, pointer),
    'expected a network or an address',
    'such as 192.0.2.0/24 or 2001:db8::/32',
  )
}
