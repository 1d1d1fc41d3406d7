/** What the validator says about a value → findings at places of the file, with the nearest key. */
import type { TLocalizedValidationError } from 'typebox/error'
import { Errors } from 'typebox/schema'
import { Settings } from 'typebox/system'
import { closed } from './closed-schema.ts'
import type { JsonValue, Origin } from './config.ts'
import { explain } from './explain.ts'
import type { Findings } from './findings.ts'
import {
  type Candidates,
  candidates,
  isSecret,
  itemCandidates,
  type JsonSchema,
  propertyCandidates,
  propertyNames,
} from './json-schema.ts'
import { isList, isMapping, own, pointerTo } from './json-value.ts'
import { keySpanOf, placeOf, spanOf } from './places.ts'
import { didYouMean } from './suggest.ts'
import type { ValueReader } from './values.ts'

export interface Examinee {
  readonly schema: JsonSchema
  readonly value: JsonValue
  /** JSON pointer of the value in the file. */
  readonly path: string
  /** Keys that stand beside the value's own and are examined elsewhere. */
  readonly otherKeys?: readonly string[]
}

type Fault = TLocalizedValidationError

/** Reports everything that is wrong with a value. Gives the pointers of the faulty values; none means sound. */
export function diagnose(
  { schema, value, path, otherKeys = [] }: Examinee,
  reader: ValueReader,
  report: Findings,
): string[] {
  const faults = bestBranches(validate(closed(schema), value))
  const known = faults.filter(fault => !reader.missing.has(path + fault.instancePath))
  const faulty = [...reader.missing].filter(pointer => pointer.startsWith(`${path}/`))
  for (const fault of known) {
    const spot = lookUp(candidates(schema), value, fault.instancePath)
    const pointer = path + fault.instancePath
    if (fault.keyword === 'required') {
      for (const name of fault.params.requiredProperties) {
        faulty.push(pointerTo(pointer, name))
        reportMissing(name, spot.schemas, pointer, reader, report)
      }
    } else if (fault.keyword === 'additionalProperties' || fault.keyword === 'unevaluatedProperties') {
      const names = [...propertyNames(spot.schemas), ...(fault.instancePath === '' ? otherKeys : [])]
      for (const key of unknownKeys(fault)) {
        faulty.push(pointerTo(pointer, key))
        reportUnknown(key, names, spot.schemas, pointer, reader, report)
      }
    } else {
      faulty.push(pointer)
      reportValue(fault, spot, pointer, reader, report)
    }
  }
  return faulty
}

function unknownKeys(fault: Fault & { keyword: 'additionalProperties' | 'unevaluatedProperties' }): string[] {
  return fault.keyword === 'additionalProperties'
    ? fault.params.additionalProperties
    : fault.params.unevaluatedProperties.map(String)
}

function validate(schema: JsonSchema, value: JsonValue): Fault[] {
  const { maxErrors } = Settings.Get()
  // The validator stops at 8 faults by default; an operator wants them all at once.
  Settings.Set({ maxErrors: Number.MAX_SAFE_INTEGER })
  try {
    const [, faults] = Errors(schema, value)
    return faults.filter(({ keyword }) => keyword !== 'boolean')
  } finally {
    Settings.Set({ maxErrors })
  }
}

/**
 * A value that fits no branch of a union has the faults of every branch. Keeps those of the one branch that it is
 * closest to, if any branch is of its kind at all; else only the union's own.
 */
function bestBranches(faults: readonly Fault[]): Fault[] {
  const settled: Fault[] = []
  let rest = faults
  for (;;) {
    const union = rest.findLast(({ keyword }) => keyword === 'anyOf' || keyword === 'oneOf')
    if (!union) return [...rest, ...settled]
    const inside = new Set(rest.filter(fault => isInside(fault, union)))
    const best = closestBranch(inside, union)
    settled.push(...(best ? bestBranches(best) : [union]))
    rest = rest.filter(fault => fault !== union && !inside.has(fault))
  }
}

function isInside({ schemaPath, instancePath }: Fault, union: Fault): boolean {
  const prefix = `${union.schemaPath}/${union.keyword}/`
  return schemaPath.startsWith(prefix) && `${instancePath}/`.startsWith(`${union.instancePath}/`)
}

function closestBranch(inside: Iterable<Fault>, union: Fault): readonly Fault[] | undefined {
  const at = `${union.schemaPath}/${union.keyword}/`.length
  const branches = Map.groupBy(inside, ({ schemaPath }) => schemaPath.slice(at).split('/', 1)[0])
  const ofItsKind = [...branches.values()].filter(
    branch => !branch.some(f => f.instancePath === union.instancePath && MISFITS.has(f.keyword)),
  )
  // The wrong word in a field that tells branches apart, such as `kind`, weighs more than anything.
  const weight = (branch: readonly Fault[]) =>
    branch.reduce((sum, { keyword }) => sum + (keyword === 'const' ? 100 : 1), 0)
  return ofItsKind.toSorted((a, b) => weight(a) - weight(b))[0]
}

const MISFITS: ReadonlySet<string> = new Set(['type', 'const', 'enum'])

interface Spot {
  readonly schemas: Candidates
  readonly value: JsonValue | undefined
}

function lookUp(schemas: Candidates, value: JsonValue, instancePath: string): Spot {
  const keys = instancePath
    .split('/')
    .slice(1)
    .map(key => key.replaceAll('~1', '/').replaceAll('~0', '~'))
  return keys.reduce<Spot>(
    (spot, key) => {
      if (isList(spot.value)) return { schemas: itemCandidates(spot.schemas), value: spot.value[Number(key)] }
      const inner = isMapping(spot.value) ? own(spot.value, key) : undefined
      return { schemas: propertyCandidates(spot.schemas, key), value: inner }
    },
    { schemas, value },
  )
}

function reportMissing(
  name: string,
  schemas: Candidates,
  parent: string,
  reader: ValueReader,
  report: Findings,
): void {
  const pointer = pointerTo(parent, name)
  if (reader.missing.has(pointer)) return
  const inner = propertyCandidates(schemas, name)
  const what = isSecret(inner) ? `\`${name}\` or \`${name}_file\`` : `\`${name}\``
  const meaning = inner[0]?.description
  report.error(keySpanOf(reader.places, parent), `${what} is missing`, meaning && `${name}: ${meaning}`)
}

function reportUnknown(
  key: string,
  names: readonly string[],
  schemas: Candidates,
  parent: string,
  reader: ValueReader,
  report: Findings,
): void {
  const span = keySpanOf(reader.places, pointerTo(parent, key))
  if (span && reader.words.get(span.start)?.show !== 'as it is') {
    report.error(span, 'expected `key: value`', whyNoPair(key))
    return
  }
  const gone = schemas.map(schema => own(schema['x-gone'] ?? {}, key)).find(text => typeof text === 'string')
  const home = schemas
    .flatMap(({ properties = {} }) => Object.entries(properties))
    .find(([, inner]) => propertyNames(candidates(inner)).includes(key))
  const elsewhere = home ? `\`${key}\` goes under \`${home[0]}\`` : didYouMean(key, names)
  report.error(span, `unknown key \`${key}\``, gone ?? elsewhere)
}

function whyNoPair(key: string): string | undefined {
  if (key.includes(':')) return 'add a blank after the colon'
  // An RDN: the commas of a DN end it there.
  return key.includes('=') ? 'quote a value that holds commas, such as a DN, inside { } and [ ]' : undefined
}

function reportValue(fault: Fault, spot: Spot, pointer: string, reader: ValueReader, report: Findings): void {
  const { message, hint } = explain(fault, spot.schemas, spot.value)
  const origin = placeOf(reader.places, pointer)?.origin
  report.error(spanOf(reader.places, pointer), message, whereFrom(origin) ?? hint)
}

/** A value that does not stand in the line shown. */
function whereFrom(origin: Origin | undefined): string | undefined {
  if (origin?.from === 'environment')
    return `the value comes from the environment: ${origin.names.join(', ')}`
  return origin?.from === 'secret_file' ? 'the value is what stands in this file' : undefined
}
