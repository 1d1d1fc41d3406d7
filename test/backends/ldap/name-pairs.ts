/** Which names are one: our normalisation against a real directory, over names drawn near the places where the two could differ. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { createUsernameNormaliser, type Username } from '../../../src/authentication/username.ts'
import { runs } from '../../support/runs.ts'

/** A directory that can be filled with people by their login names, and asked for them. */
export interface Names {
  /** Adds a person; false where the directory has that name already, or cannot have it. */
  add(name: string): Promise<boolean>
  /** The names of all that match, as they were added. */
  find(name: string): Promise<ReadonlySet<string>>
}

/**
 * Where we see one name and a directory may see two: what docs/lockout.md, Names says. Nothing else may merge two names that a
 * directory keeps apart.
 */
const MERGED: readonly (readonly [what: string, where: RegExp])[] = [
  ['invisible characters', /\p{Default_Ignorable_Code_Point}/u],
  ['blanks other than the space', /[\p{Zs}--\x20]/v],
  ['compatibility forms and width', /\p{Changes_When_NFKC_Casefolded}/u],
  ['a letter and its parts, one by one or composed', /[\p{M}\u1161-\u1175\u11a8-\u11c2]/u],
  ['the case of letters that the directory knows no case of', /[\p{Changes_When_Casemapped}--[A-Za-z]]/v],
]

const normalise = createUsernameNormaliser([])

function normalised(raw: string): Username | undefined {
  const result = normalise(raw)
  return result.ok ? result.username : undefined
}

/** Every character that our normalisation changes: found one by one, none is left out by a mistake in a list. */
const changing: readonly string[] = Array.from({ length: 0x110000 }, (_, code) => code)
  .filter(code => code < 0xd800 || code > 0xdfff)
  .map(code => String.fromCodePoint(code))
  .filter(c => /\p{Changes_When_NFKC_Casefolded}|\p{Changes_When_Casemapped}|\p{M}|\p{Zs}/u.test(c))

const trap = fc.constantFrom(
  ...[
    'i',
    'I',
    'ı',
    'İ',
    'i\u0307',
    's',
    'ſ',
    'ß',
    'ẞ',
    'ss',
    'σ',
    'ς',
    'Σ',
    'k',
    'K',
    '\u212a',
    'ǆ',
    'ǅ',
    'Ǆ',
  ],
  ...[
    'ﬁ',
    'fi',
    'å',
    'Å',
    'a\u030a',
    '\u212b',
    'é',
    'É',
    'e\u0301',
    'e',
    'ᾼ',
    'ᾳ',
    '\u0345',
    'ι',
    'ᄀ',
    'ᅡ',
    '가',
  ],
  ...['a', 'Ａ', '１', '1', ' ', '  ', '\u00a0', '\u3000', '\u00ad', '\u200d', '\ufe0f', '\u0301', '\u0323'],
)
const anyCharacter = fc.oneof(
  { weight: 6, arbitrary: trap },
  { weight: 3, arbitrary: fc.constantFrom(...changing) },
  { weight: 1, arbitrary: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }) },
)
const anyName = fc.array(anyCharacter, { minLength: 1, maxLength: 4 }).map(parts => parts.join(''))

/** Other ways to write it, of which some are it and some are not. */
function variants(name: string): readonly string[] {
  return [
    name,
    name.toUpperCase(),
    name.toLowerCase(),
    name.normalize('NFD'),
    name.normalize('NFKC'),
    ` ${name.replaceAll(' ', '  ')} `,
    normalised(name)?.user ?? name,
  ]
}

export interface Drawing {
  /** Which names the directory can have at all. */
  readonly fits: (name: string) => boolean
  /** Characters that it is held to know: over those alone the two must agree in both directions. */
  readonly common: fc.Arbitrary<string>
  /** Whether it takes a letter with an accent, and the two one after the other, for the same. */
  readonly composes: boolean
  /** How many names are drawn, before their variants. */
  readonly count: number
}

/**
 * Fills the directory with drawn names and their variants, and compares.
 *
 * @returns how many pairs were one to both
 */
export async function comparePairs(
  directory: Names,
  { fits, common, composes, count }: Drawing,
): Promise<number> {
  const seed = fc.readConfigureGlobal().seed ?? fc.sample(fc.nat(), 1)[0] ?? 0
  const numRuns = Math.ceil(runs(count) / 2)
  const commonName = fc.array(common, { minLength: 1, maxLength: 3 }).map(parts => parts.join(''))
  const ordinary = fc.sample(commonName, { numRuns, seed }).flatMap(variants)
  const known = new Set(ordinary.filter(name => composes || name === name.normalize('NFC')))
  const odd = fc.sample(anyName, { numRuns, seed }).flatMap(variants)
  const keys = new Map<string, string>()
  for (const name of [...ordinary, ...odd]) {
    const text = normalised(name)?.text
    if (text !== undefined && fits(name)) keys.set(name, text)
  }
  const added = new Map<string, string[]>()
  for (const [name, key] of keys) {
    if (await directory.add(name)) added.set(key, [...(added.get(key) ?? []), name])
  }
  const tell = (what: string, ...about: string[]) =>
    `seed ${seed}: ${what}: ${about.map(name => JSON.stringify(name).replace(/[^ -~]/gu, escaped)).join(' and ')}`
  let agreed = 0
  for (const [name, key] of keys) {
    const asTyped = await directory.find(name)
    for (const other of asTyped) {
      // The other way to guess without end: one entry behind two names, each with a count of its own.
      assert.equal(keys.get(other), key, tell('one entry, two counts', name, other))
      agreed += Number(other !== name)
    }
    for (const other of await directory.find(key)) {
      assert.equal(keys.get(other), key, tell('found somebody else', name, other))
    }
    for (const other of added.get(key) ?? []) {
      if (asTyped.has(other)) continue
      assert.ok(
        MERGED.some(([, where]) => where.test(name) || where.test(other)),
        tell('merged, and the documentation says nothing of it', name, other),
      )
      assert.ok(
        !(known.has(name) && known.has(other)),
        tell('merged, though the letters are common', name, other),
      )
    }
  }
  return agreed
}

function escaped(character: string): string {
  return `\\u{${character.codePointAt(0)?.toString(16)}}`
}
