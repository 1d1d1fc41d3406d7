/** The raw ceiling in C: what the directory gives to a client that does nothing but search and bind. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { corpService } from '../../test/support/corp.ts'
import type { BenchDirectory } from '../directory.ts'
import { packTexts } from '../native.ts'
import { bindRequest, personSearch } from './raw-messages.ts'

export interface Ceiling {
  readonly command: string
  /** The client's arguments for so many logins at once. */
  args(connections: number, warmUpS: number, seconds: number): string[]
}

/** @param folder where the compiled clients are, and where its files go */
export async function prepareCeiling({ slapd, people }: BenchDirectory, folder: string): Promise<Ceiling> {
  const service = join(folder, 'service.bin')
  const logins = join(folder, 'logins.bin')
  await writeFile(service, bindRequest(1, corpService.dn, corpService.password))
  const texts = people.flatMap(({ uid, password }) => [personSearch(2, uid), Buffer.from(password)])
  await writeFile(logins, packTexts(texts))
  return {
    command: join(folder, 'ceiling'),
    args: (connections, warmUpS, seconds) => [
      `127.0.0.1:${slapd.ldapPort}`,
      ...[connections, warmUpS, seconds].map(String),
      service,
      logins,
    ],
  }
}
