/** Logins sent to a daemon, and what they cost it. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Measured, packTexts, runClient } from '../native.ts'
import { cpuSeconds } from '../usage.ts'

export interface Load {
  /** Where the client in C is, and where its requests may be written. */
  readonly clients: string
  readonly folder: string
  /** `127.0.0.1:PORT` */
  readonly address: string
  readonly pid: number
  readonly connections: number
  readonly warmUp: number
  readonly seconds: number
  readonly requests: readonly Buffer[]
}

export interface Loaded extends Measured {
  readonly replies: number
  /** Of the daemon, in microseconds for each reply. */
  readonly cpuMicros: number
}

/** An address of its own for each of 16 million. */
export function addressOf(index: number): string {
  return `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`
}

export const LIVEZ = Buffer.from('GET /livez HTTP/1.1\r\nHost: gatehouse\r\n\r\n')

/**
 * Keeps so many connections busy for a while.
 *
 * @param mayBe statuses that are right to come
 * @throws Error when another one does, or none at all
 */
export async function load(options: Load, mayBe: readonly string[]): Promise<Loaded> {
  const { clients, folder, address, pid, connections, warmUp, seconds, requests } = options
  const file = join(folder, 'requests')
  await writeFile(file, packTexts(requests))
  let before = 0
  let after = 0
  const measured = await runClient(
    join(clients, 'exchange'),
    ['http', address, String(connections), String(warmUp), String(seconds), file],
    {
      onBegin: () => {
        before = cpuSeconds([pid])
      },
      onEnd: () => {
        after = cpuSeconds([pid])
      },
    },
  )
  const replies = Object.values(measured.kinds).reduce((sum, each) => sum + each, 0)
  const strange = Object.keys(measured.kinds).filter(kind => !mayBe.includes(kind))
  if (replies === 0 || strange.length > 0) {
    throw new Error(`the daemon was to answer ${mayBe.join(', ')}: ${JSON.stringify(measured.kinds)}`)
  }
  return { ...measured, replies, cpuMicros: ((after - before) * 1e6) / replies }
}
