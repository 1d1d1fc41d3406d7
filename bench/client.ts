/** What one contender is asked in one case: requests in a file, and the client in C that sends them. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Running } from './contender.ts'
import { type Measured, type Phases, packTexts, runClient } from './native.ts'
import type { Case } from './rounds.ts'

/** How long each measurement is. */
export interface Durations {
  /** Seconds that do not count, before those that do. */
  readonly warmUpS: number
  readonly seconds: number
  /** Seconds under load before the first round: compilers take that long until they are done with it. */
  readonly settleS: number
}

let files = 0

/**
 * @param folder where the compiled clients are
 * @param requests sent in turn, from the first again after the last
 */
export async function caseOf(
  folder: string,
  running: Running,
  requests: readonly Buffer[],
  {
    name,
    connections,
    expects,
    warmUpS,
    seconds,
  }: Pick<Case, 'name' | 'connections' | 'expects'> & Omit<Durations, 'settleS'>,
): Promise<Case> {
  const file = join(folder, `requests-${files++}.bin`)
  await writeFile(file, packTexts(requests))
  const args = [running.protocol, running.address, ...[connections, warmUpS, seconds].map(String), file]
  const run = (phases: Phases): Promise<Measured> => runClient(join(folder, 'exchange'), args, phases)
  return { name, connections, expects, pids: running.pids, run }
}
