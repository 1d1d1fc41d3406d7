/** Puts the figures of a run into docs/benchmarks.md, between its two marks, and draws the picture beside it. */
import { writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { writeBetween } from './marks.ts'
import { CEILING, type Part } from './parts.ts'
import { picture } from './report.ts'
import { type Result, ratio } from './rounds.ts'
import { type Target, targetTable } from './targets.ts'

const PAGE = fileURLToPath(new URL('../docs/benchmarks.md', import.meta.url))
const PICTURE = fileURLToPath(new URL('../docs/benchmarks.svg', import.meta.url))
const MARKS = {
  begin: '<!-- figures: written by npm run bench -- --write -->',
  end: '<!-- end of figures -->',
}
/** Logins at once in the picture. */
const DRAWN = 16

/** One part, measured. */
export interface Section extends Pick<Part, 'id' | 'title' | 'comparedWith'> {
  readonly results: readonly Result[]
  readonly table: string
}

export interface Page {
  readonly sections: readonly Section[]
  readonly reached: readonly Target[]
  readonly rounds: number
  readonly seconds: number
}

/** @throws Error if the page has lost its marks */
export async function writePage({ sections, reached, rounds, seconds }: Page): Promise<void> {
  const [cpu] = cpus()
  const figures = [
    `Taken on ${new Date().toISOString().slice(0, 10)} with Node ${process.versions.node} on ${cpus().length} processors (${cpu?.model.trim()}), ` +
      `clients and directory included: ${rounds} rounds of ${seconds} s each, medians.`,
    `### Targets\n\n${targetTable(reached)}`,
    ...sections.map(
      ({ title, comparedWith, table }) =>
        `### ${title}\n${comparedWith && `\nRatio ${comparedWith}.\n`}\n${table}`,
    ),
  ]
  await writeBetween(PAGE, MARKS, figures.join('\n\n'))
  const logins = sections.find(({ id }) => id === 'logins')?.results ?? []
  const drawn = logins.filter(({ case: one, samples }) => one.connections === DRAWN && samples.length > 0)
  const base = drawn.find(({ case: one }) => one.name === CEILING)
  if (base === undefined) return
  const bars = drawn
    .map(result => ({ name: result.case.name, value: ratio(result, base) }))
    .sort((one, other) => other.value - one.value)
  await writeFile(PICTURE, picture(`Logins a second, ${DRAWN} at once: raw search and bind in C = 1`, bars))
}
