import type { JsonValue } from './config.ts'

export type Scalar = string | number | boolean | null

/** JSON pointer (RFC 6901) of a key under another pointer. */
export function pointerTo(parent: string, key: string | number): string {
  return `${parent}/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`
}

export function isMapping(value: JsonValue | undefined): value is { readonly [key: string]: JsonValue } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function isList(value: JsonValue | undefined): value is readonly JsonValue[] {
  return Array.isArray(value)
}

/** The value of a key, never one inherited from `Object.prototype`. */
export function own(mapping: { readonly [key: string]: JsonValue }, key: string): JsonValue | undefined {
  return Object.hasOwn(mapping, key) ? mapping[key] : undefined
}
