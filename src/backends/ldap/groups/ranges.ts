import type { DirectoryEntry, ValueRange } from '../syntax/entry.ts'
import { DirectoryFailure } from '../wire/failure.ts'
import type { GroupSearch } from './group-search.ts'

/** The first part of a list, as it came with the entry. */
interface CutShort {
  readonly dn: string
  readonly attribute: string
  readonly range: ValueRange
  readonly count: number
}

/**
 * The rest of a list that Active Directory cut short: `memberOf;range=0-1499` is asked on from 1500
 * ([MS-ADTS] section 3.1.1.3.1.3.3), each part by one base search.
 *
 * @param range what is there already, and how many values it has
 * @param read takes the values of one part
 * @param max values that may come in all, lest a server go on for ever
 * @throws {DirectoryFailure}
 */
export async function readRest<T>(
  search: GroupSearch,
  { dn, attribute, range, count }: CutShort,
  read: (entry: DirectoryEntry, attribute: string) => readonly T[],
  max: number,
  signal: AbortSignal,
): Promise<readonly T[]> {
  const rest: T[] = []
  let { next } = range
  // Whatever does not start at the first value, or has not all that it says, leaves a gap.
  if (range.from !== 0 || (next !== undefined && next !== count)) throw brokenOff(dn, range.attribute)
  while (next !== undefined) {
    const entry = await search.entry(dn, `${attribute};range=${next}-*`, signal)
    const part = entry.range(attribute)
    const values = part ? read(entry, part.attribute) : []
    // Whatever is not exactly what follows would leave a gap or never end.
    if (part?.from !== next || values.length === 0) throw brokenOff(dn, part?.attribute ?? attribute)
    if (part.next !== undefined && part.next !== next + values.length) throw brokenOff(dn, part.attribute)
    rest.push(...values)
    // The caller sees that it is too many; more of them would say nothing new.
    if (rest.length > max) return rest
    next = part.next
  }
  return rest
}

function brokenOff(dn: string, attribute: string): DirectoryFailure {
  return new DirectoryFailure(`${attribute} of ${dn} cannot be read to its end`, { phase: 'search' })
}
