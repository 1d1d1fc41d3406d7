import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Running } from '../contender.ts'
import type { BenchPerson } from '../directory.ts'
import { packTexts, runClient } from '../native.ts'

/** More wrong passwords than any limit for one account allows. */
const GUESSES = 12

/** Guesses at these people until the daemon answers for none of them any more. */
export async function lockOut(
  { folder }: { readonly folder: string },
  { protocol, address, request }: Running,
  people: readonly BenchPerson[],
): Promise<void> {
  const guesses = Array.from({ length: GUESSES }, (_, guess) =>
    people.map(({ uid }) => request(uid, `guess-${guess}-at-${uid}`)),
  ).flat()
  const file = join(folder, 'guesses.bin')
  await writeFile(file, packTexts(guesses))
  // Failures take a quarter of a second each: so many seconds for each guess, with everybody at once.
  const seconds = GUESSES * 0.4
  const args = [protocol, address, String(people.length), '0', String(seconds), file]
  await runClient(join(folder, 'exchange'), args, { onBegin() {}, onEnd() {} })
}
