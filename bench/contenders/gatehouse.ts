/** The daemon as its operators run it: a process of its own, with everything on, its log in a file. */
import { randomInt } from 'node:crypto'
import { corpBackend } from '../../test/support/slapd.ts'
import type { Contender, Running } from '../contender.ts'
import { startDaemon } from '../daemon.ts'
import { loginRequest } from '../login-request.ts'

export interface GatehouseOptions {
  readonly name: string
  readonly remark: string
  /** Of the backend `corp`. */
  readonly backend?: object
  /** Sections of the YAML, each instead of ours. */
  readonly sections?: object
  /** Asks over TLS. */
  readonly ldaps?: boolean
  /** Arguments of Node.js before the program. */
  readonly nodeArgs?: readonly string[]
}

/** One of them, whose users can be added to. */
export interface RunningGatehouse extends Running {
  readonly configFile: string
}

/** Who has logged in from where is remembered for 4,200 people within the default of 64 MiB: these are 10,000. */
export const LOCKOUT = { duration: '12h', memory: '256MiB' }

export function gatehouse({ name, remark, backend, sections, ldaps, nodeArgs }: GatehouseOptions): Contender {
  return {
    name,
    remark,
    start({ slapd }, folder) {
      const urls = [ldaps ? slapd.ldapsUrl : slapd.ldapUrl]
      const corp = corpBackend(slapd, { urls, ...(!ldaps && { tls: {}, insecure: true }), ...backend })
      return startGatehouse(folder, [corp], sections, nodeArgs)
    },
  }
}

/** @throws Error with the daemon's own words when it does not start */
export async function startGatehouse(
  folder: string,
  backends: readonly object[],
  sections?: object,
  nodeArgs: readonly string[] = [],
): Promise<RunningGatehouse> {
  const daemon = await startDaemon({
    folder,
    backends,
    sections: { lockout: LOCKOUT, ...sections },
    nodeArgs,
  })
  return {
    protocol: 'http',
    address: daemon.address,
    request: loginRequest,
    accepted: '200',
    refused: '401',
    pids: [daemon.pid],
    configFile: daemon.configFile,
    stop: () => daemon.stop(),
  }
}

/** A name that nobody has, and that was never asked for before. */
export function nobody(): string {
  return `nobody${randomInt(2 ** 40)}`
}
