/** The one table of the conformance suite, in Markdown that can be read as it is. */
import { demands, type Id, type Row } from './suite.ts'

const BEGIN = '<!-- begin: npm run conformance -- --write -->'
const END = '<!-- end -->'

/** A line per id, in their order; an id without a row is missing, and the table says so. */
export function tableOf(ids: readonly Id[], rows: ReadonlyMap<string, Row>): string {
  const lines = ids.map(id => {
    const row = rows.get(id)
    const reason = row?.reason === undefined ? '' : `: ${row.reason}`
    const file = row === undefined ? '' : `\`test/conformance/${row.file}\``
    return `| ${[id, demands[id], `${row?.result ?? 'MISSING'}${reason}`, file].map(cell).join(' | ')} |`
  })
  return ['| id | behaviour | result | where |', '|---|---|---|---|', ...lines].join('\n')
}

/** The page with this table in the place of its table. */
export function withTable(page: string, table: string): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)]
  if (begin === -1 || end < begin) throw new Error('the page has no place for the table')
  return `${page.slice(0, begin + BEGIN.length)}\n${table}\n${page.slice(end)}`
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;')
}
