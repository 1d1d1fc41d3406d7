import type { Span } from './findings.ts'
import type { Place } from './values.ts'

/** The place of a value; of the nearest value around it when it does not stand in the file itself. */
export function placeOf(places: ReadonlyMap<string, Place>, pointer: string): Place | undefined {
  for (let at = pointer; ; at = at.slice(0, at.lastIndexOf('/'))) {
    const place = places.get(at)
    if (place || at === '') return place
  }
}

/** Where to put the caret for a value: on it, or on its key when there is nothing behind the key. */
export function spanOf(places: ReadonlyMap<string, Place>, pointer: string): Span | undefined {
  const place = placeOf(places, pointer)
  const blank = place && place.value.start === place.value.end
  return blank || !places.has(pointer) ? (place?.key ?? place?.value) : place?.value
}

/** Where to put the caret for a key. */
export function keySpanOf(places: ReadonlyMap<string, Place>, pointer: string): Span | undefined {
  const place = placeOf(places, pointer)
  return place?.key ?? place?.value
}
