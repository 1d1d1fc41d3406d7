/** Texts of the YAML → what code works with, by the marks in the schema. */
import { Secret } from '../plugin.ts'
import type { JsonValue } from './config.ts'
import { candidates, isSecret, type JsonSchema } from './json-schema.ts'
import { parseDays, parseDuration, parseSize } from './quantity.ts'
import { mapScalars } from './schema-values.ts'

const MASK = '[secret]'

/** Durations become milliseconds, sizes bytes, secrets a `Secret`. Frozen all the way down. */
export function convert(schema: JsonSchema, value: JsonValue): unknown {
  const converted = mapScalars(candidates(schema), value, (schemas, scalar) => {
    if (typeof scalar !== 'string') return scalar
    if (isSecret(schemas)) return new Secret(scalar)
    if (schemas.some(known => known['x-duration'])) return parseDuration(scalar) ?? scalar
    if (schemas.some(known => known['x-days'])) return parseDays(scalar) ?? scalar
    return schemas.some(known => known['x-size']) ? (parseSize(scalar) ?? scalar) : scalar
  })
  return deepFreeze(converted)
}

/** The same value with every secret masked, and what the schema does not describe, as that may hold one. */
export function masked(schema: JsonSchema, value: JsonValue): JsonValue {
  const change = (schemas: readonly JsonSchema[], scalar: JsonValue) =>
    schemas.length === 0 || isSecret(schemas) ? MASK : scalar
  return mapScalars(candidates(schema), value, change) as JsonValue
}

/** Freezes plain objects and lists; anything else, such as a `Secret` or a plugin, is left to its owner. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value
  const plain = Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype
  if (!plain || Object.isFrozen(value)) return value
  for (const inner of Object.values(value)) deepFreeze(inner)
  return Object.freeze(value)
}
