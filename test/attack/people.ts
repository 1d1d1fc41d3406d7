/** Whom the scenes are about, where they come from, and how they can be written. */
import type { Person } from './directory.ts'

export const ALICE: Person = {
  id: 'id-alice',
  names: ['alice', 'alice.fisher@mail.example', 'alice fisher'],
  password: 'right of alice',
}
export const BOB: Person = { id: 'id-bob', names: ['bob', 'bob@mail.example'], password: 'right of bob' }
/** The attacker's own account. */
export const MALLORY: Person = { id: 'id-mallory', names: ['mallory'], password: 'right of mallory' }

/** Names that look like Alice's and are other people's: Cyrillic а, Greek α, ı without a dot. */
export const LOOKALIKES: readonly Person[] = ['\u0430lice', '\u03b1lice', 'al\u0131ce'].map(
  (name, index) => ({ id: `id-lookalike-${index}`, names: [name], password: `right of lookalike ${index}` }),
)

/** All of these are Alice. */
export const SPELLINGS: readonly [string, ...string[]] = [
  'alice',
  'ALICE',
  '  Alice ',
  '\u3000alice\u00a0',
  // Full-width, circled, mathematical, and a fraktur i.
  '\uff41\uff4c\uff49\uff43\uff45',
  '\u24d0lice',
  '\u{1d41a}\u{1d425}\u{1d422}\u{1d41c}\u{1d41e}',
  'al\u{1d526}ce',
  // Default-ignorables: soft hyphen, zero-width space and joiner, word joiner, variation selector.
  'al\u00adice',
  'ali\u200bce',
  'a\u200dlice',
  'alice\u2060',
  'alice\ufe0f',
  'CORP\\alice',
  'corp\\ALICE',
  '\uff23\uff2f\uff32\uff30\uff3calice',
  'alice@corp.example',
  'Alice@CORP.EXAMPLE',
  'alice@corp.alt',
  'alice\uff20corp.example',
  'alice.fisher@mail.example',
  'Alice.FISHER@Mail.Example',
  // A ligature.
  'alice.\ufb01sher@mail.example',
  'Alice Fisher',
  'alice   fisher',
  'alice\u2003\ufb01sher',
]

export const OFFICE = '192.0.2.10'
export const ATTACKER = '198.51.100.66'

/** An address in a /24 of its own. @param index 0..2^22 */
export function distantSource(index: number): string {
  return `${20 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}.9`
}

/** A machine that nobody ever came from, in a /24 of its own as well. */
export function newMachine(index: number): string {
  return `100.${64 + (index >> 8)}.${index & 255}.5`
}

/** An address in a /64 of its own of the one /48. @param index 0..65535 */
export function hop(index: number): string {
  return `2001:db8:1:${index.toString(16)}:0:0:0:1`
}

/** An address in a /48 of its own. @param index 0..65535 */
export function distantHop(index: number): string {
  return `2001:db9:${index.toString(16)}:0:0:0:0:1`
}
