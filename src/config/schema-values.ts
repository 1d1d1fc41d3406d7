/** Walks over a value with its schema beside it. */
import { Check } from 'typebox/schema'
import { closed } from './closed-schema.ts'
import type { JsonValue } from './config.ts'
import {
  type Candidates,
  itemCandidates,
  itemSchemas,
  type JsonSchema,
  propertyCandidates,
} from './json-schema.ts'
import { isList, isMapping, own, type Scalar } from './json-value.ts'

/**
 * The value with the schema's defaults in the places that are missing, its properties in the schema's order.
 * A missing object takes part only if it has a default itself, such as `{}`.
 */
export function withDefaults(schema: JsonSchema, given: JsonValue | undefined): JsonValue | undefined {
  const value = given === undefined ? schema.default : given
  if (value === undefined) return undefined
  const branches = schema.properties ? [] : (schema.anyOf ?? schema.oneOf ?? [])
  for (const branch of branches) {
    const filled = withDefaults(branch, value)
    if (Check(closed(branch), filled)) return filled
  }
  if (isList(value)) {
    const [inner = {}, ...others] = itemSchemas(schema)
    return others.length > 0 ? value : value.map(item => withDefaults(inner, item) ?? null)
  }
  if (!isMapping(value)) return value
  const names = [...Object.keys(schema.properties ?? {}), ...Object.keys(value)]
  const entries = [...new Set(names)].flatMap(name => {
    const [inner = {}] = propertyCandidates([schema], name)
    const filled = withDefaults(inner, own(value, name))
    return filled === undefined ? [] : [[name, filled] as const]
  })
  const filled: JsonValue = Object.fromEntries(entries)
  return (schema.allOf ?? []).reduce<JsonValue>((sum, part) => withDefaults(part, sum) ?? sum, filled)
}

/** The value with `change` applied to each scalar and what the schema says about it; nothing, where it is unknown. */
export function mapScalars(
  schemas: Candidates,
  value: JsonValue,
  change: (schemas: Candidates, scalar: Scalar) => unknown,
): unknown {
  if (isList(value)) {
    return value.map(item => mapScalars(itemCandidates(schemas), item, change))
  }
  if (!isMapping(value)) return change(schemas, value)
  const entries = Object.entries(value).map(
    ([key, inner]) => [key, mapScalars(propertyCandidates(schemas, key), inner, change)] as const,
  )
  return Object.fromEntries(entries)
}
