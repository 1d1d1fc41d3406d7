import { styleText } from 'node:util'
import type { Problem } from './problem.ts'

/**
 * Problems as an operator reads them: place, what is wrong, the line with a caret, what to do.
 *
 * @param color ANSI colours, for a terminal
 */
export function formatProblems(problems: readonly Problem[], { color }: { readonly color: boolean }): string {
  const paint = (style: 'red' | 'yellow' | 'bold' | 'cyan', text: string) =>
    color ? styleText(style, text, { validateStream: false }) : text
  const blocks = problems.map(({ severity, file, line, column, message, excerpt, hint }) => {
    const place = line === undefined ? file : `${file}:${line}:${column}`
    const kind = paint(severity === 'error' ? 'red' : 'yellow', severity)
    const lines = [`${paint('bold', place)}: ${kind}: ${message}`]
    if (excerpt !== undefined) lines.push(excerpt)
    if (hint !== undefined) lines.push(`      ${paint('cyan', '=')} ${hint}`)
    return `${lines.join('\n')}\n`
  })
  return blocks.join('\n')
}
