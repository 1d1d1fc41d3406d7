/** What this daemon is to reach in one run with everything on, and whether it did. */
import { apache } from './contenders/apache.ts'
import { django } from './contenders/django.ts'
import { BARE_ROUTE, CACHED, CEILING, LOCKED_OUT, SHIPPED } from './parts.ts'
import { median, type Result, ratio } from './rounds.ts'

export interface Target {
  readonly what: string
  readonly least?: number
  readonly most?: number
  /** Undefined where one of the two was not measured. */
  readonly measured: number | undefined
}

/** @param results of all parts */
export function targets(results: readonly Result[]): Target[] {
  const find = (name: string, connections: number) =>
    results.find(
      ({ case: one, samples }) => one.name === name && one.connections === connections && samples.length > 0,
    )
  const compared = (name: string, other: string, connections: number) => {
    const [one, two] = [find(name, connections), find(other, connections)]
    return one && two && ratio(one, two)
  }
  const cpu = (connections: number) => {
    const found = find(SHIPPED, connections)
    return found && median(found.samples.map(({ cpuUs }) => cpuUs))
  }
  const both = [16, 64]
  return [
    ...both.map(at => ({
      what: `search and bind ÷ raw C, ${at}`,
      least: 0.6,
      measured: compared(SHIPPED, CEILING, at),
    })),
    ...both.map(at => ({ what: `CPU a login, µs, ${at}`, most: 150, measured: cpu(at) })),
    ...both.map(at => ({
      what: `entry cache ÷ raw C, ${at}`,
      least: 0.95,
      measured: compared(CACHED, CEILING, at),
    })),
    ...both.map(at => ({
      what: `÷ Apache, uncached, ${at}`,
      least: 1.4,
      measured: compared(SHIPPED, apache.name, at),
    })),
    ...both.map(at => ({ what: `÷ Django, ${at}`, least: 10, measured: compared(SHIPPED, django.name, at) })),
    ...both.map(at => ({
      what: `locked out ÷ bare Fastify route, ${at}`,
      least: 0.8,
      measured: compared(LOCKED_OUT, BARE_ROUTE, at),
    })),
  ]
}

/** As a table, with what was missed marked. */
export function targetTable(all: readonly Target[]): string {
  const rows = all.map(({ what, least, most, measured }) => {
    const met =
      measured !== undefined &&
      (least === undefined || measured >= least) &&
      (most === undefined || measured <= most)
    const wanted = least === undefined ? `≤ ${most}` : `≥ ${least}`
    const shown = measured === undefined ? 'not measured' : measured.toFixed(most === undefined ? 2 : 0)
    return `| ${what} | ${wanted} | ${shown} | ${measured === undefined ? '' : met ? 'met' : 'missed'} |`
  })
  return ['| | wanted | measured | |', '| --- | ---: | ---: | --- |', ...rows].join('\n')
}
