/**
 * YAML file → `Config`. The way of a value:
 *
 *   text → yaml-tree (positions) → values (variables, `_file` forms) → schema-values (defaults)
 *        → diagnose (schema) → rules, and the plugins' own checks → convert (milliseconds, `Secret`) → to-config
 *
 * A syntax error is reported alone; everything after it is collected and reported together, in file order.
 */
import { resolve } from 'node:path'
import {
  checkWithPlugins,
  type ReadBackend,
  type ResolvePlugin,
  readBackend,
  splitBackend,
  withPluginRules,
} from './backends.ts'
import type { JsonValue, LoadedConfig } from './config.ts'
import { convert } from './convert.ts'
import { diagnose } from './diagnose.ts'
import { effectiveOf, originsOf } from './effective.ts'
import { excerpt, syntaxExcerpt } from './excerpt.ts'
import { createFindings, type Finding, type Findings } from './findings.ts'
import { candidates } from './json-schema.ts'
import { isList, isMapping, own } from './json-value.ts'
import { ConfigProblems, type Problem } from './problem.ts'
import { applyRules } from './rules.ts'
import { CONFIG_SCHEMA, type ConfigValues } from './schema.ts'
import { withDefaults } from './schema-values.ts'
import { decodeText, type ReadFile, readFromDisk, remedyFor, whyUnreadable } from './secret-file.ts'
import { createSource, type Source } from './source.ts'
import { toConfig } from './to-config.ts'
import { createValueReader } from './values.ts'
import { SyntaxFault } from './yaml-syntax.ts'
import { readYamlTree, type Tree, type TreeMapping } from './yaml-tree.ts'

export interface LoadOptions {
  /** Path of the YAML file; relative to the working directory, like every path in it. */
  readonly file: string
  readonly env: NodeJS.ProcessEnv
  readonly resolvePlugin: ResolvePlugin
  /** For the file itself and for secrets. Default: from disk. */
  readonly readFile?: ReadFile
}

/**
 * Reads, expands and validates a configuration file. Opens no connection and changes nothing; a declared plugin is
 * loaded.
 *
 * @throws ConfigProblems with everything that is wrong, when anything is
 */
export async function loadConfig(options: LoadOptions): Promise<LoadedConfig> {
  const { file, env, resolvePlugin, readFile = readFromDisk } = options
  const source = await readSource(file, readFile)
  const report = createFindings(source)
  const { core, rests } = readRoot(source, report)
  const reader = createValueReader({ source, report, env, readFile })

  const filled = withDefaults(CONFIG_SCHEMA, await reader.read(core, candidates(CONFIG_SCHEMA), '')) ?? {}
  const faulty = diagnose({ schema: CONFIG_SCHEMA, value: filled, path: '' }, reader, report)
  const declaredPlugins = textsOf(isMapping(filled) ? own(filled, 'plugins') : undefined)
  const commons = backendsOf(filled)
  const backends: (ReadBackend | undefined)[] = []
  for (const [index, rest] of rests.entries()) {
    const surroundings = { reader, report, resolvePlugin, declaredPlugins }
    backends.push(rest && (await readBackend(index, rest, commons[index], surroundings)))
  }
  faulty.push(...backends.flatMap((backend, index) => backend?.faulty ?? [`/backends/${index}`]))
  const sound = (pointer: string) =>
    !faulty.some(fault => `${fault}/`.startsWith(`${pointer}/`) || pointer.startsWith(`${fault}/`))

  const ready = backends.filter(backend => backend !== undefined)
  const settled = withPluginRules(
    filled,
    ready.filter(({ index }) => sound(`/backends/${index}`)),
    { reader, report },
  )
  const values = convert(CONFIG_SCHEMA, settled) as ConfigValues
  applyRules({ values, places: reader.places, report, sound })
  const checkable = ready.flatMap(backend => {
    const common = values.backends[backend.index]
    return common?.enabled && sound(`/backends/${backend.index}`) ? [{ ...backend, id: common.id }] : []
  })
  // A neighbour with a fault of its own is still a neighbour.
  const chain = isList(values.backends) ? values.backends.filter(common => common?.enabled) : []
  checkWithPlugins(checkable, chain, { reader, report })

  const problems = inFileOrder(report.all, source, offset => excerpt(source, offset, reader.words))
  if (problems.some(({ severity }) => severity === 'error')) throw new ConfigProblems(problems)
  const effective = effectiveOf(settled, ready)
  return {
    file,
    config: toConfig(
      values,
      ready.map(({ plugin, given }) => ({ plugin, options: convert(plugin.options, given) })),
    ),
    warnings: problems,
    effective,
    origins: originsOf(effective, reader.places),
  }
}

/** A thousand times a usual one. What is longer would be read for minutes. */
const MAX_BYTES = 1_048_576

async function readSource(file: string, readFile: ReadFile): Promise<Source> {
  const another = 'name the file with --config or $GATEHOUSE_CONFIG'
  const fail = (message: string, hint = another) =>
    new ConfigProblems([{ severity: 'error', file, message, hint }])
  let bytes: Uint8Array
  try {
    bytes = (await readFile(file)).bytes
  } catch (error) {
    throw fail(whyUnreadable(error), remedyFor(error, resolve(file)))
  }
  if (bytes.length > MAX_BYTES) throw fail('the file is longer than 1 MiB, so it is no configuration')
  const text = decodeText(bytes)
  if (text === undefined) throw fail('the file is not UTF-8 text')
  return createSource(file, text)
}

interface Root {
  /** The file without the options of its backends. */
  readonly core: Tree
  /** Those by themselves, in order; undefined for a backend that is no mapping. */
  readonly rests: readonly (TreeMapping | undefined)[]
}

function readRoot(source: Source, report: Findings): Root {
  try {
    return split(readYamlTree(source.text, report))
  } catch (error) {
    if (!(error instanceof SyntaxFault)) throw error
    const finding = { severity: 'error', span: error.span, message: error.message, hint: error.hint } as const
    throw new ConfigProblems(inFileOrder([finding], source, offset => syntaxExcerpt(source, offset)))
  }
}

function split(root: Tree): Root {
  if (root.kind === 'scalar' && root.value === null) {
    return { core: { kind: 'mapping', span: root.span, entries: [] }, rests: [] }
  }
  if (root.kind !== 'mapping') {
    throw new SyntaxFault(root.span, 'expected sections such as `listen:` and `backends:`')
  }
  const rests: (TreeMapping | undefined)[] = []
  const entries = root.entries.map(entry => {
    if (entry.key !== 'backends' || entry.refused || entry.value.kind !== 'sequence') return entry
    const parts = entry.value.items.map(item =>
      item.kind === 'mapping' ? splitBackend(item) : { common: item },
    )
    rests.push(...parts.map(part => ('rest' in part ? part.rest : undefined)))
    return { ...entry, value: { ...entry.value, items: parts.map(({ common }) => common) } }
  })
  return { core: { ...root, entries }, rests }
}

function backendsOf(filled: JsonValue): readonly JsonValue[] {
  const backends = isMapping(filled) ? own(filled, 'backends') : undefined
  return isList(backends) ? backends : []
}

function textsOf(value: JsonValue | undefined): string[] {
  return isList(value) ? value.filter(item => typeof item === 'string') : []
}

/** More than anybody reads: then it is another file altogether. */
const MOST_PROBLEMS = 100

function inFileOrder(
  findings: readonly Finding[],
  { file, position }: Source,
  excerptAt: (offset: number) => string,
): Problem[] {
  const sorted = findings.toSorted((a, b) => startOf(a) - startOf(b))
  const problems = sorted.slice(0, MOST_PROBLEMS).map(
    ({ severity, span, message, hint }): Problem => ({
      severity,
      file,
      ...(span && { ...position(span.start), excerpt: excerptAt(span.start) }),
      message,
      ...(hint !== undefined && { hint }),
    }),
  )
  const rest = sorted.length - problems.length
  const severity = sorted.some(finding => finding.severity === 'error') ? 'error' : 'warning'
  return rest > 0 ? [...problems, { severity, file, message: `${rest} more like these` }] : problems
}

/** What is wrong with the file as a whole comes last. */
function startOf({ span }: Finding): number {
  return span?.start ?? Number.MAX_SAFE_INTEGER
}
