/** Attempts under way, so that the same one again shares their verification. */
import { randomBytes } from 'node:crypto'
import { createInFlight } from './in-flight.ts'
import { createKeyedHash } from './keyed-hash.ts'
import type { Secret } from './secret.ts'

export interface Likeness {
  /** Id of the app. */
  readonly caller: string
  readonly address: string
  /** As typed: two domains of one realm are one name for counting, but a mail address may be somebody else's. */
  readonly name: string
  readonly password: Secret
}

export interface LikeAttempts<T> {
  /** The one under way that is like this one: same app, address, name as typed, and password. */
  find(attempt: Likeness): Promise<T> | undefined
  /** To be shared for as long as it takes. Nothing like it may be under way. */
  share(attempt: Likeness, ending: Promise<T>): Promise<T>
}

interface Flight<T> {
  readonly password: Secret
  readonly ending: Promise<T>
  /** Of the password; known only where a second attempt has been compared. */
  digest: string | undefined
}

/** Of one app, address and name. */
interface Flights<T> {
  /** The only one there is, or has been: most are alone, and need no hash. */
  lone: Flight<T> | undefined
  /** The others; undefined where there never was one. */
  byDigest: Map<string, Flight<T>> | undefined
}

/** Passwords are compared by a keyed hash that lives only in this process, and only where a second one comes. */
export function createLikeAttempts<T>(): LikeAttempts<T> {
  const hash = createKeyedHash(randomBytes(32))
  const underWay = createInFlight<string, Flights<T>>()

  function digestOf({ password }: { readonly password: Secret }): string {
    return password.octets(octets => hash(octets, 'base64url'))
  }

  function put(flights: Flights<T>, flight: Flight<T>): void {
    flight.digest ??= digestOf(flight)
    flights.byDigest ??= new Map()
    flights.byDigest.set(flight.digest, flight)
  }

  function leave(who: string, flight: Flight<T>): void {
    const flights = underWay.get(who)
    if (flights === undefined) return
    if (flights.lone === flight) flights.lone = undefined
    else if (flight.digest !== undefined) flights.byDigest?.delete(flight.digest)
    if (flights.lone === undefined && !flights.byDigest?.size) underWay.delete(who)
  }

  return {
    find(attempt) {
      const flights = underWay.get(whoOf(attempt))
      if (flights === undefined) return undefined
      if (flights.lone !== undefined) put(flights, flights.lone)
      flights.lone = undefined
      return flights.byDigest?.get(digestOf(attempt))?.ending
    },
    share(attempt, ending) {
      const who = whoOf(attempt)
      const flight: Flight<T> = { password: attempt.password, ending, digest: undefined }
      const flights = underWay.get(who)
      if (flights === undefined) underWay.set(who, { lone: flight, byDigest: undefined })
      else put(flights, flight)
      const end = () => leave(who, flight)
      ending.then(end, end)
      return ending
    },
  }
}

function whoOf({ caller, address, name }: Likeness): string {
  // Length-prefixed, so that no two different tuples are the same text (advisories.md 8, 43).
  return `${caller.length}:${caller}${address.length}:${address}${name}`
}
