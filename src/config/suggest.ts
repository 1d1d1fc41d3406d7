import { closestMatch } from 'leven'

const LONGEST_LIST = 24

/** The candidate that was probably meant, or undefined. Case, and `-` for `_`, count for nothing. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const plain = (text: string) => text.toLowerCase().replaceAll('-', '_')
  // Two letters swapped are two edits.
  const maxDistance = Math.max(word.length < 4 ? 1 : 2, Math.floor(word.length * 0.4))
  const match = closestMatch(plain(word), candidates.map(plain), { maxDistance })
  return candidates.find(candidate => plain(candidate) === match)
}

/** "did you mean `x`?", else what is possible if that is a short list, else nothing. */
export function didYouMean(word: unknown, candidates: readonly string[]): string | undefined {
  // What was written cannot be what was meant instead.
  const unique = [...new Set(candidates)].filter(candidate => candidate !== word)
  const meant = typeof word === 'string' ? nearest(word, unique) : undefined
  if (meant !== undefined) return `did you mean \`${meant}\`?`
  return unique.length > 0 && unique.length <= LONGEST_LIST ? `known here: ${unique.join(', ')}` : undefined
}
