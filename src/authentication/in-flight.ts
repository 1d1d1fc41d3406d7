/** What is under way, by key. */
export interface InFlight<K, V> {
  readonly size: number
  has(key: K): boolean
  get(key: K): V | undefined
  /** Puts it last, or in the place of what has this key. */
  set(key: K, value: V): void
  /** Whether there was any. */
  delete(key: K): boolean
  /** The one that came first. */
  first(): V | undefined
  /** In the order in which they came. What is deleted meanwhile is left out. */
  values(): IterableIterator<V>
  entries(): IterableIterator<[K, V]>
}

/**
 * A map for what comes and goes all the time. When a map is full V8 makes it a new table, beside the old one if that has grown
 * old, and there the outgrown one stays until the next full collection with all that it refers to: with a plain map everything that
 * is under way then grows old, too (docs/adr/0012-what-is-under-way.md). The tables of this one refer to numbers.
 */
export function createInFlight<K, V>(): InFlight<K, V> {
  const places = new Map<K, number>()
  const values: (V | undefined)[] = []
  const free: number[] = []

  return {
    get size() {
      return places.size
    },
    has: key => places.has(key),
    get(key) {
      const place = places.get(key)
      return place === undefined ? undefined : values[place]
    },
    set(key, value) {
      let place = places.get(key)
      if (place === undefined) {
        place = free.pop() ?? values.length
        places.set(key, place)
      }
      values[place] = value
    },
    delete(key) {
      const place = places.get(key)
      if (place === undefined) return false
      places.delete(key)
      values[place] = undefined
      free.push(place)
      return true
    },
    first() {
      for (const place of places.values()) return values[place]
      return undefined
    },
    *values() {
      for (const place of places.values()) yield values[place] as V
    },
    *entries() {
      for (const [key, place] of places) yield [key, values[place] as V]
    },
  }
}
