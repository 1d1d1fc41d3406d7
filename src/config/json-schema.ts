/** What a JSON Schema says about one place of a value: defaults, secrets and durations hang on the schema. */
import type { TSchema } from '../plugin.ts'
import type { JsonValue } from './config.ts'

/** The keywords read here. Everything else is left to the validator. */
export interface JsonSchema extends TSchema {
  readonly $ref?: string
  readonly type?: string
  readonly description?: string
  readonly default?: JsonValue
  readonly const?: JsonValue
  readonly enum?: readonly JsonValue[]
  readonly pattern?: string
  readonly minLength?: number
  readonly minimum?: number
  readonly maximum?: number
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
  readonly patternProperties?: Readonly<Record<string, JsonSchema>>
  readonly additionalProperties?: boolean | JsonSchema
  readonly unevaluatedProperties?: boolean
  /** Several for a tuple. */
  readonly items?: JsonSchema | readonly JsonSchema[]
  readonly anyOf?: readonly JsonSchema[]
  readonly oneOf?: readonly JsonSchema[]
  readonly allOf?: readonly JsonSchema[]
  /** The value is a secret: it has a `_file` form, is masked, and code gets it as a `Secret`. */
  readonly 'x-secret'?: boolean
  /** The value has a `_file` form and never shows in an error, but is no secret. */
  readonly 'x-file'?: boolean
  readonly 'x-duration'?: boolean
  readonly 'x-size'?: boolean
  readonly 'x-days'?: boolean
  /** What a value must be, in words that follow "expected". */
  readonly 'x-expected'?: string
  /** Keys that an object had once, and what to do instead, in words for a hint. */
  readonly 'x-gone'?: Readonly<Record<string, string>>
}

/** Schemas that may apply at one place. Empty: the place is unknown. */
export type Candidates = readonly JsonSchema[]

/** A schema with everything it is composed of. */
export function candidates(schema: JsonSchema): Candidates {
  const parts = [schema.anyOf, schema.oneOf, schema.allOf].flatMap(list => list ?? [])
  return [schema, ...parts.flatMap(candidates)]
}

/** What may apply to a property of an object. */
export function propertyCandidates(schemas: Candidates, key: string): Candidates {
  return schemas.flatMap(schema => {
    const named = Object.hasOwn(schema.properties ?? {}, key) ? schema.properties?.[key] : undefined
    if (named) return candidates(named)
    const patterns = Object.entries(schema.patternProperties ?? {})
    const fitting = patterns.filter(([pattern]) => new RegExp(pattern).test(key))
    if (fitting.length > 0) return fitting.flatMap(([, inner]) => candidates(inner))
    return typeof schema.additionalProperties === 'object' ? candidates(schema.additionalProperties) : []
  })
}

/** The schema of a list's elements; several for a tuple. */
export function itemSchemas({ items = [] }: JsonSchema): readonly JsonSchema[] {
  return [items].flat()
}

/** What may apply to an element of a list. */
export function itemCandidates(schemas: Candidates): Candidates {
  return schemas.flatMap(itemSchemas).flatMap(candidates)
}

/** The names an object may have here, for suggestions. */
export function propertyNames(schemas: Candidates): string[] {
  return schemas.flatMap(({ properties = {} }) =>
    Object.entries(properties).flatMap(([name, inner]) =>
      hasFileForm(candidates(inner)) ? [name, `${name}_file`] : [name],
    ),
  )
}

export function isSecret(schemas: Candidates): boolean {
  return schemas.some(schema => schema['x-secret'])
}

/** May the value come from a file named by the same key with `_file` behind it? */
export function hasFileForm(schemas: Candidates): boolean {
  return schemas.some(schema => schema['x-secret'] || schema['x-file'])
}

/** The words a value may be, when there is a closed list of them. */
export function words(schemas: Candidates): string[] {
  const listed = schemas.flatMap(schema => schema.enum ?? (schema.const === undefined ? [] : [schema.const]))
  return listed.filter(word => typeof word === 'string')
}
