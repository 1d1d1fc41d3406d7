import { randomInt } from 'node:crypto'
import { Secret } from '../authentication/secret.ts'

/** Small letters and digits without those taken for one another: i l 1, o 0. */
const ALPHABET = 'abcdefghjkmnpqrstuvwxyz23456789'
const GROUPS = 5
const GROUP_LENGTH = 6

/** A password for somebody's first login: 148 random bits (30 times log2 31), in groups that can be read aloud. */
export function randomPassword(): Secret {
  const group = () =>
    Array.from({ length: GROUP_LENGTH }, () => ALPHABET[randomInt(ALPHABET.length)]).join('')
  return new Secret(Array.from({ length: GROUPS }, group).join('-'))
}
