/** Search filters as octets (RFC 4511 section 4.5.1.7). */
import {
  AndFilter,
  BerWriter,
  EqualityFilter,
  ExtensibleFilter,
  type Filter,
  NotFilter,
  OrFilter,
  PresenceFilter,
} from 'ldapts'
import { OCTETS } from './ber.ts'
import { type Output, wrap, writeBoolean, writeOctets, writeRaw, writeText, written } from './output.ts'

const AND = 0xa0
const OR = 0xa1
const NOT = 0xa2
const EQUALITY = 0xa3
const PRESENT = 0x87
const EXTENSIBLE = 0xa9
const MATCHING_RULE = 0x81
const TYPE = 0x82
const MATCH_VALUE = 0x83
const DN_ATTRIBUTES = 0x84

/** Every filter that logins are made of is written here; ldapts writes the others (wildcards, `>=`, `<=`, `~=`). */
export function writeFilter(output: Output, filter: Filter): void {
  const before = written(output)
  if (filter instanceof EqualityFilter) {
    const { attribute, value } = filter
    if (typeof value === 'string') writeText(output, OCTETS, value)
    else writeOctets(output, OCTETS, value)
    writeText(output, OCTETS, attribute)
    wrap(output, EQUALITY, before)
  } else if (filter instanceof AndFilter) {
    writeAll(output, filter.filters)
    wrap(output, AND, before)
  } else if (filter instanceof OrFilter) {
    writeAll(output, filter.filters)
    wrap(output, OR, before)
  } else if (filter instanceof NotFilter) {
    writeFilter(output, filter.filter)
    wrap(output, NOT, before)
  } else if (filter instanceof PresenceFilter) {
    writeText(output, PRESENT, filter.attribute)
  } else if (filter instanceof ExtensibleFilter) {
    const { rule, matchType, value, dnAttributes } = filter
    if (dnAttributes) writeBoolean(output, true, DN_ATTRIBUTES)
    writeText(output, MATCH_VALUE, value)
    if (matchType) writeText(output, TYPE, matchType)
    if (rule) writeText(output, MATCHING_RULE, rule)
    wrap(output, EXTENSIBLE, before)
  } else {
    const writer = new BerWriter()
    filter.write(writer)
    writeRaw(output, writer.buffer)
  }
}

function writeAll(output: Output, filters: readonly Filter[]): void {
  for (let index = filters.length - 1; index >= 0; index--) {
    const filter = filters[index]
    if (filter) writeFilter(output, filter)
  }
}
