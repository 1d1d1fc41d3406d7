/**
 * Which names a backend is asked about (chain.md): patterns with `*` (any run of characters) and `?` (any one), and
 * negatives with `!` in front, which win. Only negatives, or no patterns at all, let every other name through.
 * Names arrive normalised, so patterns are compared in lower case. The matcher takes time proportional to
 * pattern × name at worst (security.md S94).
 */
export function createUsernameFilter(patterns: readonly string[]): (name: string) => boolean {
  const refused = patterns.filter(pattern => pattern.startsWith('!')).map(pattern => fold(pattern.slice(1)))
  const wanted = patterns.filter(pattern => !pattern.startsWith('!')).map(fold)
  return name =>
    !refused.some(pattern => matches(pattern, name)) &&
    (wanted.length === 0 || wanted.some(pattern => matches(pattern, name)))
}

function fold(pattern: string): string {
  return pattern.normalize('NFKC').toLowerCase()
}

function matches(pattern: string, name: string): boolean {
  let at = 0
  let star = -1
  let resume = 0
  let position = 0
  while (position < name.length) {
    if (at < pattern.length && pattern[at] === '*') {
      star = at++
      resume = position
    } else if (at < pattern.length && (pattern[at] === '?' || pattern[at] === name[position])) {
      at++
      position++
    } else if (star >= 0) {
      at = star + 1
      position = ++resume
    } else {
      return false
    }
  }
  while (pattern[at] === '*') at++
  return at === pattern.length
}
