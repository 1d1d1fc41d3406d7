/**
 * Is a password one of the first that anybody would try (security.md S26; SP 800-63B-4 §3.1.1.2)? Few lists hold passwords as
 * long as ours must be, so it is taken apart: into common passwords, sequences, years, and names that belong here. One
 * that is little more than two of them is as good as on the list.
 */
import { dictionary } from '@zxcvbn-ts/language-common'

/** Some 49,000, the commonest first; what is shorter than four characters is in everything. */
const COMMON: ReadonlySet<string> = new Set(dictionary['passwords-common'])
const LEAST_WORD = 4
const LONGEST_WORD = Math.max(...[...COMMON].map(({ length }) => length))
const LEAST_RUN = 3

/** What a finger runs along, to and fro: alphabet, digits, and the rows and columns of keyboards. */
const LINES = [
  'abcdefghijklmnopqrstuvwxyz',
  '01234567890',
  'qwertyuiop[]',
  'qwertzuiopü+',
  'azertyuiop^$',
  "asdfghjkl;'",
  'asdfghjklöä#',
  'qsdfghjklmù',
  'zxcvbnm,./',
  'yxcvbnm,.-',
  '!@#$%^&*()_+',
  '!"§$%&/()=?',
  '1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/',
  '1qay2wsx3edc4rfv5tgb6zhn7ujm8ik,9ol.0pö-',
].flatMap(line => [line, [...line].reverse().join('')])

/** How people write letters by signs. */
const LETTERS: Readonly<Record<string, string>> = {
  '@': 'a',
  '4': 'a',
  '3': 'e',
  '1': 'i',
  '!': 'i',
  '0': 'o',
  $: 's',
  '5': 's',
  '7': 't',
}

type Kind = 'common' | 'sequence' | 'own'

const SAID: Readonly<Record<Kind, string>> = {
  common: 'common passwords',
  sequence: 'a sequence',
  own: 'a name that everybody here knows',
}

/** What a guesser pays for a part, where an unknown character is 1; for choosing among readings. */
const COST: Readonly<Record<Kind, number>> = { common: 2, sequence: 0.5, own: 0.5 }

/**
 * Why this is easily guessed, as a predicate that shows nothing of it ("repeats itself"); undefined if it is not.
 *
 * @param own words that anybody would try here: names of the user, of the company, of the product
 */
export function whyCommon(password: string, own: readonly string[]): string | undefined {
  const text = password.normalize('NFKC').toLowerCase().trim()
  if (COMMON.has(text) || COMMON.has(asLetters(text))) return 'is one of the most common passwords'
  if (repeats(text)) return 'repeats itself'
  const { kinds, words, others } = takeApart(text, new Set(own.flatMap(wordsOf)))
  // Three words from the list are a passphrase; sequences and names add next to nothing.
  if (kinds.size === 0 || words.size > 2 || 2 * words.size + others.size > 6) return undefined
  return `is little more than ${[...kinds]
    .sort()
    .map(kind => SAID[kind])
    .join(' and ')}`
}

/** Few characters, or one part over and over, the last time perhaps cut off. */
function repeats(text: string): boolean {
  const characters = Array.from(text)
  if (new Set(characters).size < 5) return true
  for (let part = 1; part <= characters.length / 2; part += 1) {
    if (characters.every((character, at) => at < part || character === characters[at - part])) return true
  }
  return false
}

interface Parts {
  readonly kinds: ReadonlySet<Kind>
  /** From the list, each once. */
  readonly words: ReadonlySet<string>
  /** Characters that belong to nothing known, each once. */
  readonly others: ReadonlySet<string>
}

/** The cheapest reading of a text. */
function takeApart(text: string, own: ReadonlySet<string>): Parts {
  const letters = asLetters(text)
  const longest = Math.max(LONGEST_WORD, ...[...own].map(({ length }) => length))
  /** By where it ends: what the text up to there costs, and its last part. */
  const best: { cost: number; from: number; kind?: Kind }[] = [{ cost: 0, from: 0 }]
  for (let end = 1; end <= text.length; end += 1) {
    let found: { cost: number; from: number; kind?: Kind } = { cost: Number.POSITIVE_INFINITY, from: 0 }
    for (let from = Math.max(0, end - longest); from < end; from += 1) {
      const kind = kindOf(text.slice(from, end), letters.slice(from, end), own)
      if (kind === undefined && from < end - 1) continue
      const cost = (best[from]?.cost ?? 0) + (kind === undefined ? 1 : COST[kind])
      if (cost < found.cost) found = { cost, from, ...(kind && { kind }) }
    }
    best.push(found)
  }

  const kinds = new Set<Kind>()
  const words = new Set<string>()
  const others = new Set<string>()
  for (let end = text.length; end > 0; ) {
    const { from, kind } = best[end] ?? { from: end - 1 }
    if (kind === undefined) others.add(text.slice(from, end))
    else kinds.add(kind)
    if (kind === 'common') words.add(letters.slice(from, end))
    end = from
  }
  return { kinds, words, others }
}

function kindOf(part: string, asLetters: string, own: ReadonlySet<string>): Kind | undefined {
  if (own.has(part) || own.has(asLetters)) return 'own'
  if (isSequence(part)) return 'sequence'
  if (part.length >= LEAST_WORD && (COMMON.has(part) || COMMON.has(asLetters))) return 'common'
  return undefined
}

function isSequence(part: string): boolean {
  if (part.length < LEAST_RUN) return false
  return (
    /^(?:19|20)\d\d$/.test(part) ||
    part === part[0]?.repeat(part.length) ||
    LINES.some(line => line.includes(part))
  )
}

function asLetters(text: string): string {
  return text.replace(/[@431!0$57]/g, sign => LETTERS[sign] ?? sign)
}

/** A name whole and in its parts: `alice.liddell@corp.example` is six words. */
function wordsOf(name: string): string[] {
  const text = name.normalize('NFKC').toLowerCase().trim()
  return [text, ...text.split(/[^\p{L}\p{N}]+/u)].filter(({ length }) => length >= LEAST_RUN)
}
