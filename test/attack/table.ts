/** The one table of a campaign, in Markdown that can be read as it is. */
import type { Row } from './scene.ts'

const HEAD = [
  'attack',
  'guesses verified',
  'bound promised',
  'legitimate logins refused',
  'memory',
  'result',
] as const
const MIB = 1024 ** 2

export function tableOf(rows: readonly Row[]): string {
  const lines = rows.map(({ attack, of, guesses, logins, memory, result }) => [
    of === undefined ? attack : `${attack}: ${of}`,
    guesses === undefined ? '' : `${guesses.verified}${guesses.unit === undefined ? '' : ` ${guesses.unit}`}`,
    guesses === undefined ? '' : String(guesses.bound),
    logins === undefined ? '' : `${logins.refused} of ${logins.of}${promiseOf(logins)}`,
    memory === undefined ? '' : `${memory.what} ${inMib(memory.bytes)}/${inMib(memory.mostBytes)} MiB`,
    result,
  ])
  const widths = HEAD.map((head, column) =>
    Math.max(head.length, ...lines.map(line => line[column]?.length ?? 0)),
  )
  const format = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`
  return [
    format(HEAD),
    `|${widths.map(width => '-'.repeat(width + 2)).join('|')}|`,
    ...lines.map(format),
  ].join('\n')
}

function promiseOf({ mayRefuse }: NonNullable<Row['logins']>): string {
  if (mayRefuse === 'no promise') return ' (no promise)'
  return mayRefuse === 0 ? '' : ` (≤ ${mayRefuse})`
}

function inMib(bytes: number): string {
  return (bytes / MIB).toFixed(1)
}
