/** What is wrong with a value and what was expected, in words. */
import type { TLocalizedValidationError } from 'typebox/error'
import { type Candidates, type JsonSchema, words } from './json-schema.ts'
import { nearest } from './suggest.ts'

/** One fault of a value, in a line and a hint that never quote the value. */
export function explain(
  fault: TLocalizedValidationError,
  schemas: Candidates,
  value: unknown,
): { readonly message: string; readonly hint?: string | undefined } {
  const wanted = `expected ${expected(schemas)}`
  switch (fault.keyword) {
    case 'type':
      return { message: `${wanted}, found ${kindOf(value)}`, hint: typeHint(schemas, value) }
    case 'anyOf':
    case 'oneOf':
    case 'enum':
    case 'const': {
      const meant = typeof value === 'string' ? nearest(value, words(schemas)) : undefined
      return { message: wanted, hint: meant && `did you mean \`${meant}\`?` }
    }
    case 'pattern':
      if (
        typeof value === 'string' &&
        schemas.some(schema => schema['x-duration']) &&
        /^[1-9][0-9]*(ms|s|m|h)$/.test(value)
      ) {
        return { message: 'longer than any duration here may be', hint: 'at most 499h, 9999m or 999999s' }
      }
      return { message: wanted }
    case 'minimum':
    case 'maximum':
      return { message: wanted }
    case 'minLength':
      return {
        message: value === '' ? 'this is empty' : `expected at least ${fault.params.limit} characters`,
      }
    case 'maxLength':
      return { message: `expected at most ${fault.params.limit} characters` }
    case 'minItems':
      return { message: `expected a list of at least ${fault.params.limit}` }
    case 'maxItems':
      return { message: `expected a list of at most ${fault.params.limit}` }
    case 'uniqueItems':
      return { message: 'the same entry stands twice in this list' }
    case '~refine':
      return { message: fault.params.message }
    default:
      return { message: `${wanted} (${fault.keyword})` }
  }
}

function typeHint(schemas: Candidates, value: unknown): string | undefined {
  const wants = (...types: string[]) => schemas.some(({ type }) => type !== undefined && types.includes(type))
  if (value === null) return 'give it a value, or remove the key'
  if (typeof value === 'number' && schemas.some(schema => schema['x-duration']))
    return 'add a unit, such as `4s`'
  if (typeof value === 'number' && schemas.some(schema => schema['x-size']))
    return 'add a unit, such as `64MiB`'
  if (typeof value === 'number' && schemas.some(schema => schema['x-days']))
    return 'add a unit, such as `400d`'
  if (wants('string') && typeof value !== 'object') return 'put it in quotes'
  if (wants('boolean') && typeof value === 'string') return 'yes, no, on and off are plain texts in YAML 1.2'
  if (wants('integer', 'number') && typeof value === 'string' && Number.isFinite(Number(value))) {
    return 'write it without quotes'
  }
  if (wants('array') && typeof value === 'string') return 'put it in [ ]'
  return undefined
}

/** What may stand at a place, in words that follow "expected". */
function expected(schemas: Candidates): string {
  const choice = words(schemas)
  const said = schemas.flatMap(schema => describe(schema) ?? [])
  const kinds = choice.length > 0 ? [oneOf(choice), ...said.filter(kind => kind !== A_TEXT)] : said
  return [...new Set(kinds)].join(' or ') || 'something else'
}

/** What stands there, in words that follow "found". */
function kindOf(value: unknown): string {
  if (value === null) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'a mapping'
  if (typeof value === 'boolean') return 'a boolean'
  if (typeof value === 'number') return Number.isInteger(value) ? 'a number' : 'a fraction'
  return A_TEXT
}

const A_TEXT = 'a text'

function describe(schema: JsonSchema): string | undefined {
  if (schema['x-expected']) return schema['x-expected']
  if (schema['x-duration']) return 'a duration such as `250ms`, `4s`, `15m` or `12h`'
  if (schema['x-size']) return 'a size such as `64MiB`'
  if (schema['x-days']) return 'a number of days such as `400d`, at most `99999d`'
  switch (schema.type) {
    case 'string':
      return schema.pattern ? `a text that matches ${schema.pattern}` : A_TEXT
    case 'integer':
      return `a whole number${range(schema)}`
    case 'number':
      return `a number${range(schema)}`
    case 'boolean':
      return '`true` or `false`'
    case 'array':
      return 'a list'
    case 'object':
      return 'a mapping'
    default:
      return undefined
  }
}

function range({ minimum, maximum }: JsonSchema): string {
  if (minimum !== undefined && maximum !== undefined) return ` from ${minimum} to ${maximum}`
  if (minimum !== undefined) return `, at least ${minimum}`
  return maximum === undefined ? '' : `, at most ${maximum}`
}

function oneOf(choice: readonly string[]): string {
  const quoted = choice.map(word => `\`${word}\``)
  return quoted.length === 1 ? `${quoted[0]}` : `${quoted.slice(0, -1).join(', ')} or ${quoted.at(-1)}`
}
