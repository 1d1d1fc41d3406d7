/** The text of a configuration file, by offset and by line. */
export interface Source {
  readonly file: string
  readonly text: string
  /** Line and column of an offset, both from 1; columns count UTF-16 code units. */
  position(offset: number): { readonly line: number; readonly column: number }
  /** A line without its end, and the offset at which it starts. */
  line(number: number): { readonly text: string; readonly start: number }
}

/** Wraps the text of a file. */
export function createSource(file: string, text: string): Source {
  const starts = [0]
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1)
  const startOf = (line: number) => starts[line - 1] ?? text.length
  return {
    file,
    text,
    position(offset) {
      let low = 0
      let high = starts.length - 1
      while (low < high) {
        const middle = Math.ceil((low + high) / 2)
        if (startOf(middle + 1) <= offset) low = middle
        else high = middle - 1
      }
      return { line: low + 1, column: offset - startOf(low + 1) + 1 }
    },
    line(number) {
      const start = startOf(number)
      return { text: text.slice(start, startOf(number + 1)).replace(/\r?\n$/, ''), start }
    },
  }
}
