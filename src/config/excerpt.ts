/**
 * The line of a problem with a caret under it. It shows no more than is known to be harmless: no value of a secret,
 * nothing at a place that the schema does not know (a secret under a misspelled key), no user and password of a URL, no comment.
 */
import type { Source } from './source.ts'
import type { Word } from './values.ts'

const MASK = '[secret]'
const HIDDEN = '…'
/** Columns of a line that are shown at most, so that a minified file does not fill the screen. */
const WIDTH = 100

interface Piece {
  /** Offset in the line. */
  readonly start: number
  readonly text: string
}

/** The excerpt for a problem at an offset, given every word of the file. */
export function excerpt(source: Source, offset: number, words: ReadonlyMap<number, Word>): string {
  const { line } = source.position(offset)
  const { text, start } = source.line(line)
  const here = [...words.values()]
    .filter(({ span }) => span.start < start + text.length && span.end > start)
    .sort((a, b) => a.span.start - b.span.start)
  const pieces: Piece[] = []
  let at = 0
  for (const { span, show } of here) {
    const from = Math.max(span.start - start, at)
    const to = Math.min(span.end - start, text.length)
    if (to <= from) continue
    pieces.push(...punctuation(text, at, from))
    if (show !== 'as it is') pieces.push({ start: from, text: show === 'as a secret' ? MASK : HIDDEN })
    else {
      // Of the whole word, which may have begun in a line before.
      const userinfo = findUserinfo(source.text.slice(span.start, span.end))
      pieces.push(...maskPart(text, from, to, userinfo, span.start - start))
    }
    at = to
  }
  pieces.push(...punctuation(text, at, text.length))
  return render(line, pieces, offset - start)
}

interface Part {
  readonly from: number
  readonly to: number
}

/** Where a word holds `user:password` of a URL, also of one that is misspelled: all before the last `@`. */
function findUserinfo(word: string): Part | undefined {
  const [, lead = '', userinfo = ''] =
    /^(["']?(?:[a-z][\w+.-]*:(?:\\?\/)+|(?:\\?\/){2})?)(.*)@/is.exec(word) ?? []
  const isCredentials = lead.endsWith('/') || (/:./s.test(userinfo) && !/^["']?npm:/.test(word))
  return isCredentials ? { from: lead.length, to: lead.length + userinfo.length } : undefined
}

/** A stretch of a line with a part of one word masked, if that part lies in it at all. */
function maskPart(text: string, from: number, to: number, part: Part | undefined, wordAt: number): Piece[] {
  const [first, last] = [Math.max(from, wordAt + (part?.from ?? 0)), Math.min(to, wordAt + (part?.to ?? 0))]
  if (first >= last) return [{ start: from, text: text.slice(from, to) }]
  return [
    { start: from, text: text.slice(from, first) },
    { start: first, text: MASK },
    { start: last, text: text.slice(last, to) },
  ]
}

/** The excerpt for a syntax error, where nobody knows which words are values. */
export function syntaxExcerpt(source: Source, offset: number): string {
  const { line } = source.position(offset)
  const { text, start } = source.line(line)
  const pieces = mayHoldSecret(source.text) ? leadingKey(text) : [{ start: 0, text }]
  return render(line, pieces, offset - start)
}

/** What stands between words: indicators and blanks as they are; a comment ends the line; anchors are hidden. */
function punctuation(text: string, from: number, to: number): Piece[] {
  const pieces: Piece[] = []
  for (const { 0: found, index } of text
    .slice(from, to)
    .matchAll(/[\s[\]{},:?|>-]+|#.*|[^\s[\]{},:?|>#-]+/g)) {
    if (found.startsWith('#')) break
    pieces.push({ start: from + index, text: /^[\s[\]{},:?|>-]/.test(found) ? found : HIDDEN })
  }
  return pieces
}

const SECRET_LIKE = /[\w-]*(?:pas|pwd|word|secr|tok|cred|key)[\w-]*/gi
const HARMLESS_WORD = /_file$|^wrong_password$/
const HARMLESS_TEXT = /^\s*#.*$|key_sha256: *["']?[0-9a-f]{64}\b/gim

const URL_WITH_USERINFO = /\/\\?\/.*@/

/** Is there a word in the file that could announce a secret, whole or misspelled, or a URL that holds one? */
function mayHoldSecret(text: string): boolean {
  const settings = text.replace(HARMLESS_TEXT, '')
  const announcing = settings.matchAll(SECRET_LIKE)
  return URL_WITH_USERINFO.test(settings) || [...announcing].some(([word]) => !HARMLESS_WORD.test(word))
}

/** Indentation and the first key of a line, nothing behind it. */
function leadingKey(text: string): Piece[] {
  const lead = /^[\s{[?-]*(?:[a-z][a-z0-9_]*(?=\s*:(?:\s|$)))?[\s:]*/.exec(text)?.[0] ?? ''
  return lead.length === text.length
    ? [{ start: 0, text }]
    : [
        { start: 0, text: lead },
        { start: lead.length, text: HIDDEN },
      ]
}

function render(line: number, pieces: readonly Piece[], caret: number): string {
  let before = ''
  let shown = ''
  for (const { start, text } of pieces) {
    if (start <= caret) before = shown + (text.length > caret - start ? text.slice(0, caret - start) : text)
    shown += text
  }
  const from = before.length > WIDTH - 20 ? before.length - WIDTH / 2 : 0
  const cut = printable(shown).slice(from, from + WIDTH)
  const visible = `${from > 0 ? HIDDEN : ''}${cut}${shown.length > from + WIDTH ? HIDDEN : ''}`
  const indent = `${from > 0 ? ' ' : ''}${printable(before).slice(from)}`.replace(/[^\t]/gu, ' ')
  const gutter = String(line).padStart(5)
  return `${gutter} | ${visible.trimEnd()}\n${' '.repeat(gutter.length)} | ${indent}^`
}

/** A terminal must not obey what stands in a file. */
function printable(text: string): string {
  return text.replace(/[^\P{C}\t]/gu, '\u{FFFD}')
}
