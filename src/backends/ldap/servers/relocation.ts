import { isIP } from 'node:net'
import type { Clock, Log } from '../../../plugin.ts'
import type { Line } from './line.ts'
import type { Address, Addresses } from './lookup.ts'

/** Connections to where their server is no more: its name has got another address (spec: faults.md, F21). */
export interface Relocation {
  /** Asks DNS when it is time to. To be called some ten times a second. */
  tick(): void
  /** When it was last asked, DNS gave the server's name other addresses than the one this leads to. */
  hasLeft(line: Line): boolean
}

export interface RelocationOptions {
  lines(): Iterable<Line>
  readonly ask: Addresses['ask']
  readonly refreshMs: number
  readonly clock: Clock
  readonly log: Log
  /** In [0, 1). */
  readonly random: () => number
  /** Some lines have been left, or are where they should be again. */
  onChange(): void
}

export function createRelocation(options: RelocationOptions): Relocation {
  const { lines, clock, log } = options
  // Not the addresses: who dials later may be told newer ones than were told here.
  const left = new WeakSet<Line>()
  let isAsking = false
  let dueAt = next()

  /** Somewhere in the upper fifth, so that many daemons do not ask at once. */
  function next(): number {
    return clock.now() + options.refreshMs * (0.8 + options.random() * 0.2)
  }

  /** One host after the other: while DNS is out each question may take one of the system's few threads. */
  async function look(): Promise<void> {
    const byHost = Map.groupBy(lines(), ({ server }) => server.endpoint.host)
    for (const [host, open] of byHost) {
      if (isIP(host)) continue
      const addresses = await options.ask(host).catch(() => undefined)
      if (addresses !== undefined) compare(host, open, addresses)
    }
  }

  function compare(host: string, open: readonly Line[], addresses: readonly Address[]): void {
    const changed = open.filter(line => left.has(line) !== isElsewhere(line.address, addresses))
    for (const line of changed) if (!left.delete(line)) left.add(line)
    if (changed.length === 0) return
    const fields = { host, addresses: addresses.map(({ address }) => address) }
    log.info(fields, 'DNS gives a directory server other addresses')
    options.onChange()
  }

  return {
    tick() {
      if (isAsking || clock.now() < dueAt) return
      isAsking = true
      void look().finally(() => {
        isAsking = false
        dueAt = next()
      })
    },
    hasLeft: line => left.has(line),
  }
}

/** An answer that lacks one family says nothing about it: the other question may have been lost. */
function isElsewhere(address: string | undefined, addresses: readonly Address[]): boolean {
  // The zone is this machine's own (RFC 4007 section 11).
  const [here = ''] = (address ?? '').split('%')
  const kin = addresses.filter(({ family }) => family === isIP(here)).map(each => each.address.split('%')[0])
  return kin.length > 0 && !kin.includes(here)
}
