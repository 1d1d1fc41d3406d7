/** What a question about growth is answered with. */

export interface Figure {
  readonly name: string
  /** A text where there is no number, with the reason in a word. */
  readonly value: number | string
  readonly unit: string
  /**
   * It should stay where it is whatever the size. What is below this many units is not looked at: there the clock decides. Absent
   * where it may grow.
   */
  readonly flatAbove?: number
}

export interface Row {
  /** One table for each. */
  readonly question: string
  readonly size: string
  readonly figures: readonly Figure[]
}

/** What a question gets. */
export interface Scope {
  /** Sizes cut, so that each question takes seconds. */
  readonly short: boolean
  /** Of its own, and empty. */
  readonly folder: string
  /** Where the clients in C are. */
  readonly clients: string
  /** Where it stands, for whoever waits. */
  say(line: string): void
  /** Something grows that must not, and the tables are still worth printing. */
  complain(line: string): void
}

/** So many times the least of a figure that should be flat is growth beyond any doubt, however busy the machine is. */
const BEYOND_DOUBT = 20

/** A sentence for each figure that should be flat and is not. */
export function grown(rows: readonly Row[]): string[] {
  const series = new Map<string, { least: number; most: number; at: string }>()
  for (const { question, size, figures } of rows) {
    for (const { name, value, flatAbove } of figures) {
      if (flatAbove === undefined || typeof value !== 'number') continue
      const key = `${question}: ${name}`
      const seen = Math.max(value, flatAbove)
      const { least, most, at } = series.get(key) ?? { least: seen, most: seen, at: size }
      series.set(key, {
        least: Math.min(least, seen),
        most: Math.max(most, seen),
        at: seen > most ? size : at,
      })
    }
  }
  return [...series].flatMap(([key, { least, most, at }]) =>
    most > BEYOND_DOUBT * least
      ? [`${key} should be flat and is ${show(most)} at ${at}, ${show(least)} elsewhere`]
      : [],
  )
}

/** A Markdown table for each question, in their order. */
export function toTables(rows: readonly Row[]): string {
  const questions = Map.groupBy(rows, ({ question }) => question)
  return [...questions].map(([question, theirs]) => `${question}\n\n${toTable(theirs)}`).join('\n\n')
}

function toTable(rows: readonly Row[]): string {
  const names = [...new Set(rows.flatMap(({ figures }) => figures.map(head)))]
  const lines = rows.map(({ size, figures }) => {
    const values = new Map(figures.map(figure => [head(figure), show(figure.value)]))
    return [size, ...names.map(name => values.get(name) ?? '–')]
  })
  return [['size', ...names], ['---', ...names.map(() => '---:')], ...lines]
    .map(cells => `| ${cells.join(' | ')} |`)
    .join('\n')
}

function head({ name, unit }: Figure): string {
  return unit === '' ? name : `${name}, ${unit}`
}

function show(value: number | string): string {
  if (typeof value === 'string') return value
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2
  return value.toLocaleString('en', { maximumFractionDigits: digits })
}

/** 1,000,000 */
export function count(size: number): string {
  return size.toLocaleString('en')
}
