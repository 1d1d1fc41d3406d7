import { type Document, isCollection, isScalar, type ParsedNode, visit, type YAMLError } from 'yaml'
import type { Span } from './findings.ts'

/** The text is no YAML that we read. Nothing else can be said about the file. */
export class SyntaxFault extends Error {
  override readonly name = 'SyntaxFault'
  readonly span: Span
  readonly hint: string | undefined

  constructor(span: Span, message: string, hint?: string) {
    super(message)
    this.span = span
    this.hint = hint
  }
}

export type ParsedDocument = Document.Parsed<ParsedNode, true>

interface Explanation {
  readonly code?: YAMLError['code']
  /** Part of the library's message, where a code stands for several faults. */
  readonly says?: string
  readonly message: string
  readonly hint?: string
  /** Point at the bracket or quote that is never closed, not at where the reader noticed. */
  readonly atOpening?: true
}

/** In our words, because the library's messages can quote the file, and so a secret. The first that fits counts. */
const EXPLANATIONS: readonly Explanation[] = [
  { code: 'TAB_AS_INDENT', message: 'a tab is used as indentation', hint: 'indent with spaces' },
  {
    code: 'MISSING_CHAR',
    says: 'closing',
    message: 'this quote is never closed',
    hint: 'add the closing quote at the end of the value',
    atOpening: true,
  },
  {
    says: 'end with a',
    message: 'this bracket is never closed',
    hint: 'add the closing } or ]',
    atOpening: true,
  },
  {
    code: 'MISSING_CHAR',
    says: 'Comments must',
    message: 'a comment needs a blank before the #',
    hint: 'put a value that holds # in quotes',
  },
  { code: 'MISSING_CHAR', says: 'Sequence item', message: 'expected a list entry, starting with `- `' },
  {
    code: 'MISSING_CHAR',
    says: 'Implicit map keys',
    message: 'expected `key: value`',
    hint: 'add the colon and a blank',
  },
  { code: 'MISSING_CHAR', says: 'Missing ,', message: 'a comma is missing between two entries' },
  { code: 'MISSING_CHAR', says: 'Missing space after :', message: 'a blank is missing after the colon' },
  {
    code: 'MULTILINE_IMPLICIT_KEY',
    message: 'expected `key: value` on one line',
    hint: 'is a colon missing, or the indentation wrong?',
  },
  {
    code: 'BLOCK_AS_IMPLICIT_KEY',
    says: 'Nested mappings',
    message: 'a `key: value` cannot stand inside the value of another key',
    hint: 'is the next line indented too far, or does the value hold a colon and need quotes?',
  },
  { code: 'BLOCK_AS_IMPLICIT_KEY', message: 'a list cannot be a key', hint: 'check the indentation' },
  {
    code: 'BAD_INDENT',
    message: 'the indentation does not fit the lines above',
    hint: 'entries of one mapping or list start in one column',
  },
  {
    code: 'BAD_SCALAR_START',
    message: 'a value cannot start with this character',
    hint: 'put the value in quotes',
  },
  {
    code: 'BAD_DQ_ESCAPE',
    message: 'unknown escape in a double-quoted text',
    hint: 'write \\\\ for a backslash, or use single quotes',
  },
  {
    code: 'TAG_RESOLVE_FAILED',
    message: 'tags are not read here',
    hint: 'a value that starts with ! needs quotes',
  },
  { code: 'NON_STRING_KEY', message: 'a key must be a plain word' },
  { code: 'KEY_OVER_1024_CHARS', message: 'this key is too long' },
  {
    code: 'BLOCK_IN_FLOW',
    message: 'inside { } or [ ] everything must be in the bracket form',
    hint: 'use { } and [ ], or take the outer brackets away',
  },
  { code: 'BAD_DIRECTIVE', message: 'this % line is not understood', hint: 'remove it' },
  { code: 'RESOURCE_EXHAUSTION', message: 'nested too deeply' },
  {
    code: 'UNEXPECTED_TOKEN',
    says: 'block-seq-ind',
    message: 'a list starts on its own line',
    hint: 'move the `-` to the next line',
  },
]

/** What the YAML library found, in our words and without a word of the file. */
export function describeSyntaxError(fault: YAMLError, document: ParsedDocument, text: string): SyntaxFault {
  const explanation = EXPLANATIONS.find(
    ({ code = fault.code, says = '' }) => code === fault.code && fault.message.includes(says),
  )
  const position = Math.min(fault.pos[0], text.length)
  const start = explanation?.atOpening ? openingBefore(position, document) : position
  const line = text.slice(text.lastIndexOf('\n', start - 1) + 1).split('\n', 1)[0] ?? ''
  const hint = /(?<!\$)[{[].*\$\{/.test(line)
    ? `inside { } or [ ] write a variable in quotes: "\${NAME}"`
    : explanation?.hint
  return new SyntaxFault({ start, end: start }, explanation?.message ?? 'this is not expected here', hint)
}

/** Start of the innermost quote or bracket that is still open at the position. */
function openingBefore(position: number, document: ParsedDocument): number {
  let start = position
  visit(document, (_, node) => {
    const flow = (isCollection(node) && node.flow) || (isScalar(node) && node.type?.startsWith('QUOTE_'))
    if (!flow || !node.range) return
    const [from, end] = node.range
    if (from < position && end >= position) start = from
  })
  return start
}
