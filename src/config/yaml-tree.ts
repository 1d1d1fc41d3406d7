/** YAML text → a tree of plain nodes that know where they stand. The only file that sees the YAML library's reader. */
import {
  type Alias,
  isAlias,
  isMap,
  isScalar,
  Lexer,
  type Node,
  type ParsedNode,
  parseAllDocuments,
} from 'yaml'
import type { Findings, Span } from './findings.ts'
import { describeSyntaxError, type ParsedDocument, SyntaxFault } from './yaml-syntax.ts'

export type Tree = TreeScalar | TreeSequence | TreeMapping

export interface TreeScalar {
  readonly kind: 'scalar'
  readonly span: Span
  readonly value: string | number | boolean | null
}

export interface TreeSequence {
  readonly kind: 'sequence'
  readonly span: Span
  readonly items: readonly Tree[]
}

export interface TreeMapping {
  readonly kind: 'mapping'
  readonly span: Span
  readonly entries: readonly TreeEntry[]
}

export interface TreeEntry {
  readonly key: string
  readonly keySpan: Span
  /** False for a lone word in a flow mapping: `{ word }`. */
  readonly hasValue: boolean
  /** Reported already: its value counts for nothing. */
  readonly refused: boolean
  readonly value: Tree
}

/** Nodes that aliases may add to a file, all together. */
const MAX_ALIASED_NODES = 10_000
const MAX_DEPTH = 64
/** So many open brackets are not even given to the library: what is less it tells with the right place. */
const MOST_BRACKETS = 256

/**
 * Reads one YAML 1.2 document of the core schema. Duplicate and merge keys go to `report`.
 *
 * @throws SyntaxFault for the first thing that is not YAML, a tag, a second document, an alias without bounds
 */
export function readYamlTree(text: string, report: Findings): Tree {
  refuseDeepBrackets(text)
  const [document, second] = parseAllDocuments<ParsedNode, true>(text, {
    version: '1.2',
    schema: 'core',
    merge: false,
    resolveKnownTags: false,
    stringKeys: true,
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: 'silent',
  }) as ParsedDocument[]
  if (document === undefined) return emptyAt(0)
  const fault = document.errors[0] ?? document.warnings[0]
  if (fault) throw describeSyntaxError(fault, document, text)
  if (document.directives?.yaml.explicit && document.directives.yaml.version !== '1.2') {
    const message = 'only YAML 1.2 is read here'
    throw new SyntaxFault({ start: 0, end: 0 }, message, 'remove the %YAML line')
  }
  if (second) {
    const start = second.range[0]
    throw new SyntaxFault(
      { start, end: start },
      'a second YAML document starts here; the configuration is one document',
      'remove the `---` or `...` before it',
    )
  }
  return document.contents ? readNode(document.contents, report) : emptyAt(document.range[0])
}

/** Before anything else: the library takes minutes for a hundred thousand brackets, and milliseconds to see them. */
function refuseDeepBrackets(text: string): void {
  let start = 0
  let depth = 0
  let inText = false
  for (const lexeme of new Lexer().lex(text)) {
    // Marks that are not in the text (the library's CST: a document, an unclosed bracket, a scalar that follows).
    if (lexeme === '\x02' || lexeme === '\x18' || lexeme === '\x1f') {
      inText = lexeme === '\x1f'
      continue
    }
    if (!inText && (lexeme === '[' || lexeme === '{')) depth += 1
    if (!inText && (lexeme === ']' || lexeme === '}')) depth -= 1
    if (depth > MOST_BRACKETS) throw tooDeep({ start, end: start + 1 })
    inText = false
    start += lexeme.length
  }
}

function tooDeep(span: Span): SyntaxFault {
  return new SyntaxFault(span, `nested deeper than ${MAX_DEPTH} levels`)
}

function emptyAt(start: number): TreeScalar {
  return { kind: 'scalar', span: { start, end: start }, value: null }
}

function readNode(root: Node, report: Findings): Tree {
  const anchors = new Map<string, Node>()
  const targets = new Map<Alias, Node | undefined>()
  const open = new Set<Node>()
  let aliasedNodes = 0

  const read = (node: Node, inAlias: boolean): Tree => {
    const span = spanOf(node)
    if (inAlias) aliasedNodes += 1
    if (aliasedNodes > MAX_ALIASED_NODES) {
      throw new SyntaxFault(span, `aliases make more than ${MAX_ALIASED_NODES} values out of this file`)
    }
    if (open.size >= MAX_DEPTH) throw tooDeep(span)
    if (isAlias(node)) return readAlias(node, span)
    if (node.anchor && !inAlias) anchors.set(node.anchor, node)
    if (isScalar(node)) return { kind: 'scalar', span, value: plainValue(node.value) }
    open.add(node)
    const tree: Tree = isMap<Node, Node | null>(node)
      ? { kind: 'mapping', span, entries: readEntries(node.items, inAlias) }
      : { kind: 'sequence', span, items: itemsOf(node).map(item => read(item, inAlias)) }
    open.delete(node)
    return tree
  }

  // An alias stands for its target but is reported where it is written.
  const readAlias = (node: Alias, span: Span): Tree => {
    if (!targets.has(node)) targets.set(node, anchors.get(node.source))
    const target = targets.get(node)
    if (!target)
      throw new SyntaxFault(span, 'this alias has no anchor before it', 'to mean a text, put it in quotes')
    if (open.has(target)) throw new SyntaxFault(span, 'this alias stands inside what it stands for')
    return { ...read(target, true), span }
  }

  const readEntries = (
    pairs: readonly { key: Node; value: Node | null }[],
    inAlias: boolean,
  ): TreeEntry[] => {
    const seen = new Map<string, Span>()
    const entries: TreeEntry[] = []
    for (const pair of pairs) {
      const key = isScalar(pair.key) ? String(pair.key.value) : ''
      const keySpan = spanOf(pair.key)
      const value = pair.value ? read(pair.value, inAlias) : emptyAt(keySpan.end)
      const first = seen.get(key)
      seen.set(key, first ?? keySpan)
      const refusal = refuse(key, first)
      if (refusal) report.error(keySpan, ...refusal)
      entries.push({ key, keySpan, hasValue: pair.value !== null, refused: refusal !== undefined, value })
    }
    return entries
  }

  const refuse = (key: string, first: Span | undefined): readonly [string, string?] | undefined => {
    if (first) return [`this key is already set in line ${report.lineOf(first)}`, 'keep one of the two']
    if (key === '<<') return ['merge keys (`<<`) are not read here', 'write the keys out']
    return key === '__proto__' ? ['this key is not allowed'] : undefined
  }

  return read(root, false)
}

function itemsOf(node: Node): readonly Node[] {
  return 'items' in node ? (node.items as readonly Node[]) : []
}

function spanOf(node: Node): Span {
  const [start, end] = node.range ?? [0, 0]
  return { start, end }
}

function plainValue(value: unknown): TreeScalar['value'] {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : null
}
