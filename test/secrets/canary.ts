import { createHash, randomBytes } from 'node:crypto'

/** A secret made to be found again, however it may have been written down. */
export interface Canary {
  /** Whose it is, for the test that fails. */
  readonly name: string
  /** What is looked for: 20 letters and digits that stand nowhere by accident. */
  readonly core: string
  /** What is used: the core among characters that JSON, URLs, XML and shells escape. */
  readonly password: string
}

export function newCanary(name: string): Canary {
  // Never shortened to letters of one case: that a spelling folds it must show.
  const core = `Kq7${randomBytes(12).toString('base64').replace(/[+/=]/g, 'x')}Zw`.slice(0, 20)
  return { name, core, password: `é"\\ +&${core}/<'` }
}

/** A secret that something else has made, such as a token. */
export function adoptCanary(name: string, secret: string): Canary {
  return { name, core: secret, password: secret }
}

/** How each is found, by the name of the spelling. */
type Needles = ReadonlyMap<string, Buffer>

const known = new Map<Canary, Needles>()

/** Every spelling that is looked for. */
export function spellingsOf(canary: Canary): Needles {
  let needles = known.get(canary)
  if (needles === undefined) {
    needles = new Map(Object.entries(spell(canary)).map(([name, text]) => [name, Buffer.from(text)]))
    known.set(canary, needles)
  }
  return needles
}

function spell({ core, password }: Canary): Record<string, string | Buffer> {
  const octets = Buffer.from(core)
  const utf16 = Buffer.from(core, 'utf16le')
  const each = (show: (octet: number) => string, between = '') => [...octets].map(show).join(between)
  const hexOf = (octet: number) => octet.toString(16)
  const half = Math.ceil(core.length / 2)
  return {
    plain: core,
    'its first half': core.slice(0, half),
    'its second half': core.slice(half),
    'lower case': core.toLowerCase(),
    'upper case': core.toUpperCase(),
    reversed: [...core].reverse().join(''),
    'UTF-16LE': utf16,
    'UTF-16BE': Buffer.from(utf16).swap16(),
    hex: octets.toString('hex'),
    'upper-case hex': octets.toString('hex').toUpperCase(),
    'octets as inspected': each(hexOf, ' '),
    'octets as JSON': each(String, ','),
    'per cent': each(octet => `%${hexOf(octet)}`),
    'JSON escapes': each(octet => `\\u00${hexOf(octet)}`),
    ...base64Of(octets),
    ...digestsOf(password),
  }
}

/** As it stands in the middle of something else: by how many octets come before it, without what depends on the neighbours. */
function base64Of(octets: Buffer): Record<string, string> {
  const spelt: Record<string, string> = {}
  for (const [before, skip] of [
    [0, 0],
    [1, 2],
    [2, 3],
  ] as const) {
    const text = Buffer.concat([Buffer.alloc(before), octets])
      .toString('base64')
      .replace(/=+$/, '')
    const whole = text.slice(skip, -2)
    spelt[`base64, ${before} before it`] = whole
    spelt[`base64url, ${before} before it`] = whole.replaceAll('+', '-').replaceAll('/', '_')
  }
  return spelt
}

/** Without a salt they are as good as the password to whoever has a dictionary. */
function digestsOf(password: string): Record<string, string | Buffer> {
  const spelt: Record<string, string | Buffer> = {}
  for (const algorithm of ['md5', 'sha1', 'sha256', 'sha512']) {
    const digest = createHash(algorithm).update(password).digest()
    spelt[algorithm] = digest
    spelt[`${algorithm} in hex`] = digest.toString('hex')
    spelt[`${algorithm} in base64`] = digest.toString('base64').replace(/=+$/, '')
  }
  return spelt
}

/** What stands before it, so that whoever reads of it knows where to look; octets. */
const CONTEXT = 120

/** Which of them are in there, how, and behind what: `a wrong password as hex, in "…"`. Empty is what is hoped for. */
export function findCanaries(
  content: Buffer | string,
  canaries: readonly Canary[],
  /** Looks for these only: a large content takes its time. */
  spelt: RegExp = /./,
): string[] {
  const octets = typeof content === 'string' ? Buffer.from(content) : content
  const found: string[] = []
  for (const canary of canaries) {
    for (const [spelling, needle] of spellingsOf(canary)) {
      if (!spelt.test(spelling)) continue
      const at = octets.indexOf(needle)
      if (at < 0) continue
      const context = octets.toString('latin1', Math.max(0, at - CONTEXT), at + needle.length)
      found.push(`${canary.name} as ${spelling}, in ${JSON.stringify(context)}`)
    }
  }
  return found
}
