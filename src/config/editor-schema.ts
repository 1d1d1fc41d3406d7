/** The JSON Schema for editors, from the same definitions that validate (config.md, Rules). */
import type { BackendPlugin } from '../plugin.ts'
import { closed, mapSchemas } from './closed-schema.ts'
import { candidates, hasFileForm, itemSchemas, type JsonSchema } from './json-schema.ts'
import { CONFIG_SCHEMA } from './schema.ts'

const LINE_WIDTH = 110
const VARIABLE = { $ref: '#/definitions/variable' }

/**
 * The schema of a configuration file, draft 7 because every editor knows that.
 *
 * @param builtIn the plugins whose options an editor shall know; other types are accepted with any options
 */
export function editorSchema(builtIn: readonly BackendPlugin[]): object {
  const { properties = {}, ...file } = forEditors(closed(CONFIG_SCHEMA))
  const [common = {}] = itemSchemas(CONFIG_SCHEMA.properties?.backends ?? {})
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Gatehouse configuration',
    ...file,
    properties: {
      ...properties,
      backends: {
        type: 'array',
        description: properties.backends?.description,
        items: {
          type: 'object',
          required: ['id', 'type'],
          properties: { ...forEditors(common).properties, type: typeSchema(common, builtIn) },
          allOf: builtIn.map(plugin => optionsOf(plugin, common)),
        },
      },
    },
    definitions: {
      variable: { type: 'string', pattern: '\\$\\{', description: 'Holds an environment variable.' },
    },
  }
}

/** The same as text, one line per short list: that is how the file ships. */
export function renderEditorSchema(builtIn: readonly BackendPlugin[]): string {
  const text = JSON.stringify(editorSchema(builtIn), null, 2)
  const oneLine = text.replace(/^(.*)\[\n\s+([^[\]{}]*?)\n\s+\](,?)$/gm, (list, before, items, after) => {
    const line = `${before}[${items.replace(/\n\s+/g, ' ')}]${after}`
    return line.length <= LINE_WIDTH ? line : list
  })
  return `${oneLine}\n`
}

function typeSchema(common: JsonSchema, builtIn: readonly BackendPlugin[]): object {
  const listed = { enum: builtIn.map(({ type }) => type) }
  return {
    description: common.properties?.type?.description,
    anyOf: [listed, { pattern: '^(npm:|\\.{0,2}/)' }],
  }
}

/** Once the type is known, so are all the keys. */
function optionsOf({ type, options }: BackendPlugin, common: JsonSchema): object {
  const names = Object.keys(common.properties ?? {}).map(name => [name, true] as const)
  const own = forEditors(closed(options))
  const properties = { ...Object.fromEntries(names), ...own.properties }
  return {
    if: { properties: { type: { const: type } }, required: ['type'] },
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    then: { ...own, properties },
  }
}

/** Adds what the file allows beyond the values themselves: variables and `_file` forms; what has a default may be left out. */
function forEditors(schema: JsonSchema): JsonSchema {
  const { required = [], properties, ...rest } = mapSchemas(schema, forEditors)
  if (!properties) return withVariable(withoutMarks({ ...rest, ...(required.length > 0 && { required }) }))
  const original = schema.properties ?? {}
  const fileable = Object.keys(original).filter(name => hasFileForm(candidates(original[name] ?? {})))
  const needed = required.filter(name => original[name]?.default === undefined && !fileable.includes(name))
  const fileForms = fileable.map(name => [`${name}_file`, fileForm(name)] as const)
  const choices = fileable.map(name =>
    required.includes(name)
      ? { oneOf: [{ required: [name] }, { required: [`${name}_file`] }] }
      : { not: { required: [name, `${name}_file`] } },
  )
  return withoutMarks({
    ...rest,
    properties: { ...properties, ...Object.fromEntries(fileForms) },
    ...(needed.length > 0 && { required: needed }),
    ...(choices.length > 0 && { allOf: [...(rest.allOf ?? []), ...choices] }),
  })
}

function fileForm(name: string): JsonSchema {
  return { type: 'string', minLength: 1, description: `Path of a file that holds \`${name}\`.` }
}

function withVariable(schema: JsonSchema): JsonSchema {
  const { description, default: fallback, ...rest } = schema
  const scalar =
    rest.enum ?? rest.const ?? (['integer', 'number', 'boolean'].includes(rest.type ?? '') || rest.pattern)
  if (scalar === undefined || scalar === false || rest.anyOf) return schema
  return {
    ...(description !== undefined && { description }),
    ...(fallback !== undefined && { default: fallback }),
    anyOf: [rest, VARIABLE],
  }
}

function withoutMarks(schema: JsonSchema): JsonSchema {
  return Object.fromEntries(Object.entries(schema).filter(([keyword]) => !keyword.startsWith('x-')))
}
