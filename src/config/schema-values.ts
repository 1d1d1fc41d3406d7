/** Walks over a value with its schema beside it. */
import { Value } from 'typebox/value'
import { closed } from './closed-schema.ts'
import type { JsonValue } from './config.ts'
import { type Candidates, itemCandidates, type JsonSchema, propertyCandidates } from './json-schema.ts'
import { isList, isMapping, own, pointerTo, type Scalar } from './json-value.ts'

/**
 * The value with the schema's defaults in the places that are missing, its properties in the schema's order.
 * A missing object takes part only if it has a default itself, such as `{}`.
 */
export function withDefaults(schema: JsonSchema, given: JsonValue | undefined): JsonValue | undefined {
  const value = given === undefined ? schema.default : given
  if (value === undefined) return undefined
  const branches = schema.anyOf ?? schema.oneOf ?? []
  for (const branch of branches) {
    const filled = withDefaults(branch, value)
    if (Value.Check(closed(branch), filled)) return filled
  }
  if (isList(value))
    return schema.items ? value.map(item => withDefaults(schema.items ?? {}, item) ?? null) : value
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

/**
 * The value with `change` applied to each scalar that stands where the schema knows one.
 *
 * @param path JSON pointer of the value
 */
export function mapScalars(
  schemas: Candidates,
  value: JsonValue,
  path: string,
  change: (schemas: Candidates, scalar: Scalar, path: string) => unknown,
): unknown {
  if (isList(value)) {
    return value.map((item, index) => mapScalars(itemCandidates(schemas), item, `${path}/${index}`, change))
  }
  if (!isMapping(value)) return change(schemas, value, path)
  const entries = Object.entries(value).map(([key, inner]) => {
    const at = pointerTo(path, key)
    return [key, mapScalars(propertyCandidates(schemas, key), inner, at, change)] as const
  })
  return Object.fromEntries(entries)
}
