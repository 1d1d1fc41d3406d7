import type { BenchDirectory } from './directory.ts'
import type { Protocol } from './native.ts'

/** Who says whether a password is right, as its own users would run it: a server of its own, asked by the client in C. */
export interface Contender {
  /** As the table names it. */
  readonly name: string
  /** What is special about it here, for the table's notes: version, workers, caches. */
  readonly remark: string
  /**
   * @param folder of its own, empty; for configuration and data
   * @throws {NotHere} where its program can't be had on this machine
   */
  start(directory: BenchDirectory, folder: string): Promise<Running>
}

export interface Running {
  readonly protocol: Protocol
  /** `127.0.0.1:PORT`, or the path of a socket. */
  readonly address: string
  /** The request as it stands on the wire. */
  request(username: string, password: string): Buffer
  /** The kind of reply that says yes, and the one that says no, as native/exchange.c tells them. */
  readonly accepted: string
  readonly refused: string
  /** Processes of its own; their children count as well. */
  readonly pids: readonly number[]
  stop(): Promise<void>
}

/** The program is not on this machine, and can't be fetched. The message names what would install it. */
export class NotHere extends Error {
  override readonly name = 'NotHere'
}
