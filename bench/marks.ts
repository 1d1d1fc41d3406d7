/** Puts what was measured into a page, where two marks say so; what stands around them is written by hand. */
import { readFile, writeFile } from 'node:fs/promises'

/** @throws Error if the page has not both marks, in their order */
export async function writeBetween(
  page: string,
  marks: { readonly begin: string; readonly end: string },
  text: string,
): Promise<void> {
  const before = await readFile(page, 'utf8')
  const [from, to] = [before.indexOf(marks.begin), before.indexOf(marks.end)]
  if (from < 0 || to < from) throw new Error(`${page} has no place between ${marks.begin} and ${marks.end}`)
  await writeFile(page, `${before.slice(0, from)}${marks.begin}\n\n${text}\n\n${before.slice(to)}`)
}
