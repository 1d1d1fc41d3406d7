import type { ReadBackend } from './backends.ts'
import type { JsonValue, LoadedConfig, Origin } from './config.ts'
import { convert, masked } from './convert.ts'
import { isList, isMapping, own, pointerTo } from './json-value.ts'
import { CONFIG_SCHEMA } from './schema.ts'
import type { Place } from './values.ts'

/** The configuration in the words of the YAML, with defaults, and with every secret masked. */
export function effectiveOf(filled: JsonValue, backends: readonly ReadBackend[]): LoadedConfig['effective'] {
  const core = masked(CONFIG_SCHEMA, filled)
  const list = isMapping(core) ? own(core, 'backends') : undefined
  const merged = (isList(list) ? list : []).map((common, index) => {
    const backend = backends[index]
    if (backend === undefined || !isMapping(common)) return common
    const { plugin, given } = backend
    const implied = (plugin.implied?.(convert(plugin.options, given)) ?? {}) as JsonValue
    // Masked last: nothing that a plugin says may show a secret.
    const options = masked(plugin.options, withImplied(given, implied))
    return isMapping(options) ? { ...common, ...options } : common
  })
  return isMapping(core) ? { ...core, backends: merged } : {}
}

/** What is set stays as it is. */
function withImplied(set: JsonValue | undefined, implied: JsonValue): JsonValue {
  if (set === undefined) return implied
  if (!isMapping(set) || !isMapping(implied)) return set
  const said = Object.entries(implied).filter(([, value]) => value !== undefined)
  return {
    ...set,
    ...Object.fromEntries(said.map(([key, value]) => [key, withImplied(own(set, key), value)])),
  }
}

/** Where each value of it came from, by JSON pointer; lists and mappings only when they are empty. */
export function originsOf(effective: JsonValue, places: ReadonlyMap<string, Place>): Map<string, Origin> {
  const origins = new Map<string, Origin>()
  const visit = (value: JsonValue, pointer: string) => {
    const inner = isList(value) || isMapping(value) ? Object.entries(value) : []
    for (const [key, child] of inner) visit(child, pointerTo(pointer, key))
    if (inner.length === 0) origins.set(pointer, places.get(pointer)?.origin ?? { from: 'default' })
  }
  visit(effective, '')
  return origins
}
