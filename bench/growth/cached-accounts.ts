/** People whose entries are kept (`entry_cache`). */
import { systemClock } from '../../src/authentication/clock.ts'
import { createEntryCache, type Entry } from '../../src/backends/ldap/entry-cache.ts'
import { heldMiB } from './own-cost.ts'
import type { Figure } from './row.ts'

/** docs/backends/ldap.md, Entry cache. */
const MOST_KEPT = 10_000

/** So many people put into the cache of one backend, and what it costs to ask it. */
export async function cachedAccounts(size: number, times: number): Promise<readonly Figure[]> {
  const before = await heldMiB()
  const cache = createEntryCache(3_600_000, systemClock)
  for (let index = 0; index < size; index++) cache.put(usernameOf(index), entryOf(index))
  const held = (await heldMiB()) - before
  const kept = Math.min(size, MOST_KEPT)
  const newest = (index: number) => size - 1 - (index % kept)
  const hit = timed(times, index => cache.get(usernameOf(newest(index))) !== undefined)
  const miss = timed(times, index => cache.get(usernameOf(size + index)) === undefined)
  let found = 0
  for (let index = 0; index < size; index++) if (cache.get(usernameOf(index)) !== undefined) found++
  return [
    { name: 'kept', value: found, unit: '' },
    { name: 'found', value: hit, unit: 'µs', flatAbove: 2 },
    { name: 'not found', value: miss, unit: 'µs', flatAbove: 2 },
    { name: 'held', value: held > 0 ? held : 'too little to tell', unit: 'MiB' },
  ]
}

function timed(times: number, isAsItShould: (index: number) => boolean): number {
  const before = process.cpuUsage()
  for (let index = 0; index < times; index++) {
    if (!isAsItShould(index)) throw new Error('the entry cache does not keep what it should')
  }
  const { user, system } = process.cpuUsage(before)
  return (user + system) / times
}

function usernameOf(index: number) {
  const name = `user${index}`
  return { text: name, typed: name, user: name }
}

function entryOf(index: number): Entry {
  const name = `user${index}`
  const dn = `uid=${name},ou=people,dc=corp,dc=example`
  const email = `${name}@corp.example`
  const user = { id: `corp:${name}`, username: name, email, groups: ['staff'], roles: [], attributes: {} }
  const member = { dn, username: name, listed: [], range: undefined, primaryGroup: undefined }
  const person = { dn, user: { ...user, groups: [] }, member }
  return { person, admitted: { user, refusal: undefined, found: undefined } }
}
