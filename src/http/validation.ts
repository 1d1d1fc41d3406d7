import type { FastifySchemaCompiler } from 'fastify'
import type { TSchema } from 'typebox'
import type { TLocalizedValidationError } from 'typebox/error'
import { Compile } from 'typebox/schema'
import { type Fault, RequestFault } from './request-fault.ts'

/**
 * Checks the parts of a request against their TypeBox schemas. Nothing is coerced, filled in or removed: what does not
 * fit is refused.
 */
export const compileSchema: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const validator = Compile(schema)
  return data => {
    if (validator.Check(data)) return true
    const [, errors] = validator.Errors(data)
    const faults = errors.flatMap(error => describe(error, httpPart === 'querystring'))
    return { error: new RequestFault(...faults) }
  }
}

/** Says what is wrong where, and repeats neither values nor keys that the schema does not know. */
function describe(error: TLocalizedValidationError, inQuery: boolean): Fault[] {
  const at = (path: string, detail: string): Fault =>
    inQuery ? { ...(path !== '' && { parameter: path.slice(1) }), detail } : { pointer: path, detail }
  const path = error.instancePath
  switch (error.keyword) {
    case 'required':
      return error.params.requiredProperties.map(name => at(`${path}/${name}`, 'missing'))
    case 'additionalProperties':
      return [at(path, inQuery ? 'a parameter that is not known' : 'a key that is not known')]
    case 'boolean':
      // The key itself, about which `additionalProperties` has been said.
      return []
    case 'type':
      return [at(path, `not of type ${error.params.type}`)]
    case 'minLength':
      return [at(path, 'empty')]
    default:
      return [at(path, 'not one of the permitted values')]
  }
}
