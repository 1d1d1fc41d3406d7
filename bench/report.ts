/** The figures as Markdown and as a picture. */
import { median, type Result, ratio, type Sample } from './rounds.ts'

const of = ({ samples }: Result, what: keyof Sample) => median(samples.map(sample => sample[what]))
const milliseconds = (us: number) => (us / 1000).toFixed(us < 10_000 ? 2 : 0)

/**
 * One row each, and its ratio to the first of the same number of connections.
 *
 * @param base finds what a row is compared with; undefined for nothing
 */
export function table(results: readonly Result[], base: (result: Result) => Result | undefined): string {
  const rows = results.map(result => {
    const { name, connections, pids } = result.case
    const other = base(result)
    const own = pids.length > 0
    return [
      name,
      String(connections),
      of(result, 'rate').toFixed(0),
      other ? ratio(result, other).toFixed(2) : '',
      own ? of(result, 'cpuUs').toFixed(0) : '',
      own ? of(result, 'mainUs').toFixed(0) : '',
      of(result, 'directoryCpuUs').toFixed(0),
      milliseconds(of(result, 'p50')),
      milliseconds(of(result, 'p99')),
      own ? of(result, 'rss').toFixed(0) : '',
    ]
  })
  const head = [
    '',
    'at once',
    'a second',
    'ratio',
    'CPU µs',
    'its main thread',
    'slapd CPU µs',
    'p50 ms',
    'p99 ms',
    'RSS MiB',
  ]
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map((_, at) => (at === 0 ? '---' : '---:'))), ...rows.map(line)].join('\n')
}

const BAR = { left: 230, width: 420, height: 22, gap: 8 }

/** Bars of ratios, as SVG: one each, the longest last. */
export function picture(
  title: string,
  bars: readonly { readonly name: string; readonly value: number }[],
): string {
  const most = Math.max(1, ...bars.map(({ value }) => value))
  const height = 50 + bars.length * (BAR.height + BAR.gap)
  const drawn = bars.map(({ name, value }, at) => {
    const y = 40 + at * (BAR.height + BAR.gap)
    const width = Math.max(1, (value / most) * BAR.width)
    const fill = name.startsWith('Gatehouse') ? '#1f6feb' : '#8b949e'
    return (
      `<text x="${BAR.left - 10}" y="${y + 16}" text-anchor="end">${escapeXml(name)}</text>` +
      `<rect x="${BAR.left}" y="${y}" width="${width.toFixed(1)}" height="${BAR.height}" fill="${fill}"/>` +
      `<text x="${BAR.left + width + 6}" y="${y + 16}">${value.toFixed(2)}</text>`
    )
  })
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 ${height}" font-family="sans-serif" font-size="13">` +
    `<title>${escapeXml(title)}</title><rect width="720" height="${height}" fill="#ffffff"/><text x="16" y="24" font-size="15">${escapeXml(title)}</text>` +
    `${drawn.join('')}</svg>\n`
  )
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
