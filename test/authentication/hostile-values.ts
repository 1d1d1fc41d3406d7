/** Whatever code that is not ours could hand over: plain data, near misses, and objects that are not what they look like. */
import fc from 'fast-check'

/** Any data at all, of every type of the language. */
const anyData = fc.oneof(
  fc.anything({
    maxDepth: 3,
    withBigInt: true,
    withDate: true,
    withMap: true,
    withNullPrototype: true,
    withObjectString: true,
    withSet: true,
    withSparseArray: true,
    withTypedArray: true,
  }),
  fc.constantFrom(
    Symbol('accept'),
    () => 'accept',
    class Accept {},
    Number.NaN,
    new Error('x'),
    JSON.parse('{"__proto__":{"outcome":"accept"}}'),
    Object.create({ outcome: 'accept' }),
  ),
)

const TRAPS = [
  'get',
  'has',
  'ownKeys',
  'getPrototypeOf',
  'getOwnPropertyDescriptor',
  'apply',
] as const satisfies readonly (keyof ProxyHandler<object>)[]

function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function'
}

/** Throws from one of its traps, and is the value otherwise. */
function trapped(value: unknown, trap: (typeof TRAPS)[number]): unknown {
  const target = isObject(value) ? value : {}
  return new Proxy(target, {
    [trap]: () => {
      throw new Error('trapped')
    },
  })
}

/** Its fields are read from getters: they throw, or give something else from the second time on. */
function shifting(value: unknown, other: unknown, key: string | undefined): unknown {
  if (!isObject(value)) return value
  const copy = {}
  for (const name of Object.keys(value)) {
    let reads = 0
    Object.defineProperty(copy, name, {
      enumerable: true,
      get() {
        reads += 1
        if (key === name && other instanceof Error) throw other
        return reads === 1 || (key !== undefined && key !== name)
          ? (value as Record<string, unknown>)[name]
          : other
      },
    })
  }
  return copy
}

/** A list that says it holds text, and does not. */
function lyingList(texts: readonly string[], other: unknown): unknown {
  let reads = 0
  return new Proxy([...texts], {
    get(target, name, receiver) {
      if (typeof name === 'string' && /^\d+$/.test(name) && reads++ >= texts.length) return other
      return Reflect.get(target, name, receiver)
    },
  })
}

const MAKE = Symbol('make')

/** How to make a value that fast-check itself could not look at: made anew for each run, and printed as its parts. */
export interface Recipe {
  readonly kind: string
  readonly parts: unknown
  readonly [MAKE]: () => unknown
}

function recipe(kind: string, parts: unknown, how: () => unknown): Recipe {
  return { kind, parts, [MAKE]: how }
}

/** The value itself, if it comes as a recipe. */
export function make(value: unknown): unknown {
  return isObject(value) && Object.hasOwn(value, MAKE) ? (value as Recipe)[MAKE]() : value
}

const trap = fc.constantFrom(...TRAPS)

export const hostile: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 4, arbitrary: anyData },
  {
    weight: 1,
    arbitrary: fc.tuple(anyData, trap).map(parts => recipe('trapped', parts, () => trapped(...parts))),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(anyData, anyData)
      .map(parts => recipe('shifting', parts, () => shifting(...parts, undefined))),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.array(fc.string()), anyData)
      .map(parts => recipe('lying list', parts, () => lyingList(...parts))),
  },
)

/** A list of what may be recipes. */
export function listOf(each: fc.Arbitrary<unknown>, maxLength: number): fc.Arbitrary<unknown> {
  return fc.array(each, { maxLength }).map(items => recipe('list', items, () => items.map(make)))
}

type Fields = Readonly<Record<string, unknown>>

function made(fields: Fields): object {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, make(value)]))
}

/** These fields, each right as a rule and now and then anything, missing or not what it looks like. */
export function near(fields: Readonly<Record<string, fc.Arbitrary<unknown>>>): fc.Arbitrary<unknown> {
  const name = fc.constantFrom(...Object.keys(fields))
  const right: fc.Arbitrary<Fields> = fc.record(fields)
  const strange = fc
    .tuple(right, name, hostile)
    .map(([value, key, odd]): Fields => ({ ...value, [key]: odd }))
  const missing: fc.Arbitrary<Fields> = fc.record(fields, { requiredKeys: [] })
  const asRecord = (value: Fields) => recipe('record', value, () => made(value))
  const other = fc.oneof(hostile, fc.constant(new Error('a getter threw')))
  return fc.oneof(
    { weight: 3, arbitrary: right.map(asRecord) },
    { weight: 6, arbitrary: strange.map(asRecord) },
    { weight: 2, arbitrary: missing.map(asRecord) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(fc.oneof(right, strange), other, fc.option(name, { nil: undefined }))
        .map(([value, odd, key]) =>
          recipe('shifting record', [value, odd, key], () => shifting(made(value), make(odd), key)),
        ),
    },
    {
      weight: 1,
      arbitrary: fc
        .tuple(strange, trap)
        .map(([value, at]) => recipe('trapped record', [value, at], () => trapped(made(value), at))),
    },
  )
}

/** How a function can hand over a value. `never` is to be waited for until somebody loses patience. */
export type Delivery = (value: unknown) => unknown

const deliveries: Readonly<Record<string, Delivery>> = {
  returns: value => value,
  throws: value => {
    throw value
  },
  resolves: async value => value,
  rejects: async value => {
    throw value
  },
  'resolves later': value => new Promise(resolve => setImmediate(resolve, value)),
  'rejects later': value => new Promise((_, reject) => setImmediate(reject, value)),
  // biome-ignore lint/suspicious/noThenProperty: a thenable is the point
  'is a thenable': value => ({ then: (resolve: Delivery) => void resolve(value) }),
  'is a thenable that rejects': value => ({
    // biome-ignore lint/suspicious/noThenProperty: a thenable is the point
    then: (_: Delivery, reject: Delivery) => void reject(value),
  }),
  'is a thenable that answers twice': value => ({
    // biome-ignore lint/suspicious/noThenProperty: a thenable is the point
    then(resolve: Delivery, reject: Delivery) {
      resolve(value)
      reject(new Error('second thoughts'))
      throw new Error('third thoughts')
    },
  }),
  'cannot even be awaited': value => ({
    // biome-ignore lint/suspicious/noThenProperty: a thenable is the point
    get then() {
      throw value
    },
  }),
}

export const delivery = fc.constantFrom(...Object.entries(deliveries))

/** Does it hand over the value itself, so that what is in it is an answer and no error? */
export function isAnswer(way: string): boolean {
  return /^returns$|^resolves|^is a thenable$|twice$/.test(way)
}
