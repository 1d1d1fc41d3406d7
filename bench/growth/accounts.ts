/** Accounts: in the counts of the lockout, in the table of local users, among the entries that are kept of a directory. */
import { join } from 'node:path'
import { cachedAccounts } from './cached-accounts.ts'
import { countedAccounts } from './counted-accounts.ts'
import { knownPeople } from './known-people.ts'
import { localAccounts } from './local-accounts.ts'
import { count, type Row, type Scope } from './row.ts'

/** How much the counts may take, in MiB: the default, and room for more. */
const MEMORIES = [64, 1024]

export async function accounts(scope: Scope): Promise<readonly Row[]> {
  const sizes = scope.short ? [10, 5_000] : [10, 1_000, 100_000, 1_000_000]
  const times = scope.short ? 3_000 : 20_000
  const rows: Row[] = []
  // Compiled before the first size, or that would pay for it.
  await countedAccounts(2_000, 64, times)
  for (const memory of MEMORIES) {
    for (const size of sizes) {
      // Whatever fits into the smaller room is no different in the larger one.
      if (memory > 64 && size < 100_000) continue
      scope.say(`${count(size)} accounts in the lockout, ${memory} MiB`)
      rows.push({
        question: 'Accounts in the lockout',
        size: `${count(size)} in ${memory} MiB`,
        figures: await countedAccounts(size, memory, times),
      })
    }
  }
  for (const size of scope.short ? [100, 4_000] : [100, 1_000, 2_000, 4_000, 10_000, 100_000]) {
    scope.say(`${count(size)} people known to the lockout`)
    const figures = await knownPeople(join(scope.folder, `known-${size}.db`), size, times)
    rows.push({ question: 'People known to the lockout', size: count(size), figures })
  }
  for (const size of sizes) {
    scope.say(`${count(size)} local users`)
    const figures = await localAccounts(join(scope.folder, `${size}.db`), size, times)
    rows.push({ question: 'Local users', size: count(size), figures })
  }
  await cachedAccounts(10_000, times)
  for (const size of sizes) {
    rows.push({
      question: 'Entries in the cache',
      size: count(size),
      figures: await cachedAccounts(size, times),
    })
  }
  return rows
}
