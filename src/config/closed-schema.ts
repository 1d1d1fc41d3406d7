import type { JsonSchema } from './json-schema.ts'
import { DAYS_PATTERN, DURATION_PATTERN, SIZE_PATTERN } from './quantity.ts'

/**
 * The schema that validates: objects admit no keys but the declared ones, and durations and sizes have their form.
 * An author of a backend need not say so.
 */
export function closed(schema: JsonSchema): JsonSchema {
  if (schema['x-duration']) return { ...schema, pattern: DURATION_PATTERN }
  if (schema['x-size']) return { ...schema, pattern: SIZE_PATTERN }
  if (schema['x-days']) return { ...schema, pattern: DAYS_PATTERN }
  const composed =
    schema.allOf !== undefined ||
    (schema.properties !== undefined && (schema.anyOf ?? schema.oneOf) !== undefined)
  if (composed) return { ...mapSchemas(schema, closed, open), unevaluatedProperties: false }
  const inner = mapSchemas(schema, closed)
  const says = schema.properties === undefined || schema.additionalProperties !== undefined
  return says ? inner : { ...inner, additionalProperties: false }
}

/** A part of a composition: the whole is closed, the part must not be. */
function open(part: JsonSchema): JsonSchema {
  return mapSchemas(part, closed, open)
}

/** The same schema with every inner schema changed; `changePart` is for what it is composed of. */
export function mapSchemas(
  schema: JsonSchema,
  change: (inner: JsonSchema) => JsonSchema,
  changePart: (part: JsonSchema) => JsonSchema = change,
): JsonSchema {
  const record = (inner: Readonly<Record<string, JsonSchema>>) =>
    Object.fromEntries(Object.entries(inner).map(([key, value]) => [key, change(value)]))
  const { properties, patternProperties, additionalProperties, items, anyOf, oneOf, allOf } = schema
  return {
    ...schema,
    ...(properties && { properties: record(properties) }),
    ...(patternProperties && { patternProperties: record(patternProperties) }),
    ...(typeof additionalProperties === 'object' && { additionalProperties: change(additionalProperties) }),
    ...(items && { items: isTuple(items) ? items.map(change) : change(items) }),
    ...(anyOf && { anyOf: anyOf.map(changePart) }),
    ...(oneOf && { oneOf: oneOf.map(changePart) }),
    ...(allOf && { allOf: allOf.map(changePart) }),
  }
}

function isTuple(items: JsonSchema | readonly JsonSchema[]): items is readonly JsonSchema[] {
  return Array.isArray(items)
}
