/** The part of the file that belongs to plugins: which one answers for a backend, its options, its own checks. */
import type { BackendPlugin, ChainPlace } from '../plugin.ts'
import type { JsonValue } from './config.ts'
import { convert } from './convert.ts'
import { diagnose } from './diagnose.ts'
import type { Findings } from './findings.ts'
import { candidates, type JsonSchema } from './json-schema.ts'
import { isList, isMapping, own } from './json-value.ts'
import { spanOf } from './places.ts'
import { BackendCommon } from './schema.ts'
import { withDefaults } from './schema-values.ts'
import { didYouMean } from './suggest.ts'
import type { ValueReader } from './values.ts'
import type { TreeMapping } from './yaml-tree.ts'

/** Why a type has no plugin. */
export interface PluginFailure {
  readonly error: string
  readonly hint?: string
  /** Types that do exist, for "did you mean". */
  readonly known?: readonly string[]
}

/**
 * Finds the plugin for a type: a built-in one, or one of those that the file declares (`npm:<package>` or a path,
 * relative to the working directory). Any failure to load one is told, never skipped.
 */
export type ResolvePlugin = (
  type: string,
  declaredPlugins: readonly string[],
) => Promise<BackendPlugin | PluginFailure>

/** One backend of the file with a plugin that answers for its type. */
export interface ReadBackend {
  /** Position in the file's list. */
  readonly index: number
  readonly plugin: BackendPlugin
  /** With defaults; durations and secrets still as text. */
  readonly given: JsonValue
  /** Pointers of faulty options; none means sound. */
  readonly faulty: readonly string[]
}

interface Surroundings {
  readonly reader: ValueReader
  readonly report: Findings
  readonly resolvePlugin: ResolvePlugin
  readonly declaredPlugins: readonly string[]
}

const COMMON_KEYS: readonly string[] = Object.keys(BackendCommon.properties)

/** The keys of a backend that are the chain's, and those that are its plugin's. */
export function splitBackend(tree: TreeMapping): {
  readonly common: TreeMapping
  readonly rest: TreeMapping
} {
  const pick = (common: boolean) => tree.entries.filter(({ key }) => COMMON_KEYS.includes(key) === common)
  return { common: { ...tree, entries: pick(true) }, rest: { ...tree, entries: pick(false) } }
}

/**
 * Reads the options of one backend. Undefined, and reported, when no plugin answers for its type.
 *
 * @param rest its keys that are not common
 * @param common the values of those that are
 */
export async function readBackend(
  index: number,
  rest: TreeMapping,
  common: JsonValue | undefined,
  surroundings: Surroundings,
): Promise<ReadBackend | undefined> {
  const { reader, report } = surroundings
  const path = `/backends/${index}`
  const plugin = await findPlugin(isMapping(common) ? own(common, 'type') : undefined, path, surroundings)
  if (!plugin) {
    await reader.read(rest, [], path)
    return undefined
  }
  const schema: JsonSchema = plugin.options
  const clash = Object.keys(schema.properties ?? {}).find(key => COMMON_KEYS.includes(key))
  if (clash) {
    const message = `the plugin's option \`${clash}\` is a key that every backend has`
    report.error(spanOf(reader.places, `${path}/type`), message, 'the author of the plugin must rename it')
  }
  const given = withDefaults(schema, await reader.read(rest, candidates(schema), path)) ?? {}
  const faulty = diagnose({ schema, value: given, path, otherKeys: COMMON_KEYS }, reader, report)
  return { index, plugin, given, faulty: clash ? [...faulty, path] : faulty }
}

async function findPlugin(
  type: JsonValue | undefined,
  path: string,
  { reader, report, resolvePlugin, declaredPlugins }: Surroundings,
): Promise<BackendPlugin | undefined> {
  if (typeof type !== 'string' || type === '' || reader.missing.has(`${path}/type`)) return undefined
  const found = await resolve(type, declaredPlugins, resolvePlugin)
  if (!('error' in found)) return found
  const hint = found.hint ?? didYouMean(type, [...(found.known ?? []), ...declaredPlugins])
  report.error(spanOf(reader.places, `${path}/type`), found.error, hint)
  return undefined
}

async function resolve(
  type: string,
  declared: readonly string[],
  resolvePlugin: ResolvePlugin,
): Promise<BackendPlugin | PluginFailure> {
  if (/^(npm:|\.{0,2}\/)/.test(type) && !declared.includes(type)) {
    return {
      error: 'this plugin is not listed under `plugins`',
      hint: 'add it there: only listed code is loaded',
    }
  }
  try {
    return await resolvePlugin(type, declared)
  } catch (error) {
    return {
      error: `this plugin cannot be loaded: ${error instanceof Error ? error.message : 'unknown error'}`,
    }
  }
}

/**
 * The common values with each plugin's own defaults for `on`, where the file says nothing.
 *
 * @param values of the whole file, with the schema's defaults
 * @param backends of which the options are sound
 */
export function withPluginRules(
  values: JsonValue,
  backends: readonly ReadBackend[],
  { reader, report }: Pick<Surroundings, 'reader' | 'report'>,
): JsonValue {
  const list = isMapping(values) ? own(values, 'backends') : undefined
  if (!isMapping(values) || !isList(list)) return values
  const merged = [...list]
  for (const { index, plugin, given } of backends) {
    const common = merged[index]
    const on = isMapping(common) ? own(common, 'on') : undefined
    if (plugin.on === undefined || !isMapping(common) || !isMapping(on)) continue
    const path = `/backends/${index}`
    try {
      const preferred = Object.entries(plugin.on(convert(plugin.options, given)))
      const unsaid = preferred.filter(([outcome]) => !reader.places.has(`${path}/on/${outcome}`))
      merged[index] = { ...common, on: { ...on, ...Object.fromEntries(unsaid) } }
    } catch (error) {
      reportBug(error, spanOf(reader.places, `${path}/type`), report)
    }
  }
  return { ...values, backends: merged }
}

function reportBug(error: unknown, span: ReturnType<typeof spanOf>, report: Findings): void {
  const name = error instanceof Error ? error.name : typeof error
  report.error(span, `the check of this plugin failed with ${name}`, 'a bug in the plugin')
}

/** Lets each plugin look at its backends, all of one type at once, and puts its words at their places. */
export function checkWithPlugins(
  backends: readonly (ReadBackend & { readonly id: string })[],
  chain: readonly ChainPlace[],
  { reader, report }: Pick<Surroundings, 'reader' | 'report'>,
): void {
  for (const [plugin, ofType] of Map.groupBy(backends, backend => backend.plugin)) {
    const at = (backend: number, pointer: string) =>
      spanOf(reader.places, `/backends/${ofType[backend]?.index ?? ''}${pointer}`)
    try {
      const configured = ofType.map(({ id, given }) => ({ id, options: convert(plugin.options, given) }))
      for (const { backend, pointer, message, hint, severity } of plugin.check?.(configured, chain) ?? []) {
        report[severity](at(backend, pointer), message, hint)
      }
    } catch (error) {
      reportBug(error, at(0, '/type'), report)
    }
  }
}
