/** YAML tree + schema → plain values, with variables expanded and `_file` forms read, and the place of each value. */
import type { JsonValue, Origin } from './config.ts'
import type { Findings, Span } from './findings.ts'
import { type Candidates, hasFileForm, isSecret, itemCandidates, propertyCandidates } from './json-schema.ts'
import { pointerTo, type Scalar } from './json-value.ts'
import { type ReadFile, readSecretFile } from './secret-file.ts'
import type { Source } from './source.ts'
import { expandVariables, isReference, referenceOffset } from './variables.ts'
import type { Tree, TreeEntry, TreeScalar } from './yaml-tree.ts'

/** Where a value stands in the file. */
export interface Place {
  /** Of the key, absent in a list. */
  readonly key: Span | undefined
  readonly value: Span
  readonly origin: Origin
}

/** A word of the file, and whether an excerpt may show it. */
export interface Word {
  readonly span: Span
  readonly show: Show
}

type Show = 'as it is' | 'as a secret' | 'not at all'

export interface ValueReader {
  /** By JSON pointer. A value from `x_file` has its place under `/x` and under `/x_file`. */
  readonly places: ReadonlyMap<string, Place>
  /** By the offset at which it starts. */
  readonly words: ReadonlyMap<number, Word>
  /** Pointers of values that could not be had; they have been reported, so nothing else is to be said of them. */
  readonly missing: ReadonlySet<string>
  /** The value of a tree that stands at `path`. No candidates: nothing in it is shown. */
  read(tree: Tree, schemas: Candidates, path: string): Promise<JsonValue>
}

interface Surroundings {
  readonly source: Source
  readonly report: Findings
  readonly env: NodeJS.ProcessEnv
  readonly readFile: ReadFile
}

/** A key that cannot be a secret in the wrong place. */
const KEY_LIKE = /^[A-Za-z][\w-]{0,63}$/
const FILE_FORM = '_file'
/** From a root or a folder that is named, or plain words in plain folders: what a secret hardly is. */
const PATH_LIKE = /^\.{0,2}\/|^[\w.-]+(?:\/[\w.-]+)+$/
const PATH: Candidates = [{ type: 'string' }]

/** A reader that notes places and words, and reports what cannot be read. */
export function createValueReader({ source, report, env, readFile }: Surroundings): ValueReader {
  const places = new Map<string, Place>()
  const words = new Map<number, Word>()
  const missing = new Set<string>()

  // Behind an alias a word stands in several places; what one of them hides stays hidden.
  const note = (span: Span, show: Show) => {
    const known = words.get(span.start)
    if (known === undefined || known.show === 'as it is') words.set(span.start, { span, show })
  }

  const read = async (tree: Tree, schemas: Candidates, path: string, key?: Span): Promise<JsonValue> => {
    const { line } = source.position(tree.span.start)
    places.set(path, { key, value: tree.span, origin: { from: 'file', line } })
    switch (tree.kind) {
      case 'scalar':
        return readScalar(tree, schemas, path, key)
      case 'sequence': {
        const inner = itemCandidates(schemas)
        return Promise.all(tree.items.map((item, index) => read(item, inner, pointerTo(path, index))))
      }
      case 'mapping': {
        const entries = await Promise.all(
          tree.entries.map(entry => readEntry(entry, tree.entries, schemas, path)),
        )
        return Object.fromEntries(entries.filter(entry => entry !== undefined))
      }
    }
  }

  const readScalar = (tree: TreeScalar, schemas: Candidates, path: string, key: Span | undefined): Scalar => {
    const secret = isSecret(schemas)
    note(tree.span, visibility(tree, schemas))
    if (typeof tree.value !== 'string') return tree.value
    const { text, names, faults } = expandVariables(tree.value, env)
    for (const { index, message, hint } of faults) {
      const start =
        tree.span.start + referenceOffset(source.text.slice(tree.span.start, tree.span.end), index)
      report.error({ start, end: tree.span.end }, message, hint)
      missing.add(path)
    }
    const { line } = source.position(tree.span.start)
    if (names.length > 0) {
      places.set(path, { key, value: tree.span, origin: { from: 'environment', names, line } })
      return asWanted(text, schemas)
    }
    if (secret && text !== '') {
      const hint = 'name a file under the same key with `_file` behind it, or take an environment variable'
      report.warning(tree.span, 'a secret stands in this file itself', hint)
    }
    return text
  }

  const readEntry = async (
    entry: TreeEntry,
    siblings: readonly TreeEntry[],
    schemas: Candidates,
    path: string,
  ): Promise<readonly [string, JsonValue] | undefined> => {
    const at = pointerTo(path, entry.key)
    const inner = propertyCandidates(schemas, entry.key)
    const base = entry.key.endsWith(FILE_FORM) ? entry.key.slice(0, -FILE_FORM.length) : undefined
    const fileForm =
      inner.length === 0 && base !== undefined && hasFileForm(propertyCandidates(schemas, base))
    const isKey =
      inner.length > 0 || fileForm || entry.key === '<<' || (entry.hasValue && KEY_LIKE.test(entry.key))
    note(entry.keySpan, isKey ? 'as it is' : 'not at all')
    if (entry.refused) {
      note(entry.value.span, 'not at all')
      return undefined
    }
    if (!fileForm) return [entry.key, await read(entry.value, inner, at, entry.keySpan)]
    if (siblings.some(({ key }) => key === base)) {
      report.error(entry.keySpan, `both \`${base}\` and \`${entry.key}\` are given`, 'keep one of the two')
      await read(entry.value, PATH, at, entry.keySpan)
      return undefined
    }
    const secret = isSecret(propertyCandidates(schemas, base))
    return [base, await readFileForm(entry, at, pointerTo(path, base), secret)]
  }

  const readFileForm = async (
    entry: TreeEntry,
    at: string,
    target: string,
    secret: boolean,
  ): Promise<JsonValue> => {
    const path = await read(entry.value, PATH, at, entry.keySpan)
    const { span } = entry.value
    const origin: Origin = { from: 'secret_file', path: String(path), line: source.position(span.start).line }
    places.set(target, { key: entry.keySpan, value: span, origin })
    const reported = missing.has(at)
    missing.add(target)
    if (reported) return null
    if (typeof path !== 'string' || path === '') {
      report.error(entry.keySpan, 'expected the path of a file')
      return null
    }
    const file = await readSecretFile(path, readFile)
    if (!file.ok) {
      // The secret itself may stand where its file is to be named.
      if (!PATH_LIKE.test(path)) note(span, 'as a secret')
      report.error(span, file.message, file.hint)
      return null
    }
    missing.delete(target)
    if (secret && file.worldReadable) {
      report.warning(span, 'every user of this machine may read this secret', 'chmod o-r the file')
    }
    return file.value
  }

  return { places, words, missing, read: (tree, schemas, path) => read(tree, schemas, path) }
}

/** A reference to a variable tells nothing; everything else is shown only where the schema expects it, and no secret. */
function visibility({ value }: TreeScalar, schemas: Candidates): Show {
  if (typeof value === 'string' && (value === '' || isReference(value))) return 'as it is'
  if (hasFileForm(schemas)) return 'as a secret'
  // A lone word instead of a list of words is a slip, no secret.
  return admitsScalar(schemas) || admitsScalar(itemCandidates(schemas)) ? 'as it is' : 'not at all'
}

/** May a single word stand here at all? If not, what stands here may be anything, even a secret out of its place. */
function admitsScalar(schemas: Candidates): boolean {
  return schemas.some(
    ({ type, enum: listed, const: only }) =>
      listed !== undefined ||
      only !== undefined ||
      (type !== undefined && type !== 'object' && type !== 'array'),
  )
}

/** An expanded variable takes the type the schema wants, where its text allows. */
function asWanted(text: string, schemas: Candidates): Scalar {
  const wants = (...types: string[]) => schemas.some(({ type }) => type !== undefined && types.includes(type))
  if (wants('string') || schemas.some(schema => schema.enum?.some(word => word === text))) return text
  if (wants('integer', 'number') && /^-?[0-9]+(\.[0-9]+)?$/.test(text)) return Number(text)
  if (wants('boolean') && (text === 'true' || text === 'false')) return text === 'true'
  return text
}
