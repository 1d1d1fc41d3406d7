/** Security identifiers ([MS-DTYP] section 2.4.2): octets on the wire, `S-1-5-21-…` for people. */

const REVISION = 1
const MAX_SUB_AUTHORITIES = 15
/** From here on the authority is written in hexadecimal ([MS-DTYP] section 2.4.2.1). */
const HEX_AUTHORITY = 2 ** 32
const TEXT = /^S-1-(\d{1,10}|0x[0-9a-f]{12})((?:-\d{1,10}){0,15})$/i

/** The octets as `S-1-…`; undefined for what is no SID. */
export function formatSid(octets: Buffer): string | undefined {
  if (octets.length < 8 || octets[0] !== REVISION) return undefined
  const count = octets.readUInt8(1)
  if (count > MAX_SUB_AUTHORITIES || octets.length !== 8 + 4 * count) return undefined
  const authority = octets.readUIntBE(2, 6)
  let text = `S-1-${authority < HEX_AUTHORITY ? authority : `0x${octets.toString('hex', 2, 8).toUpperCase()}`}`
  for (let offset = 8; offset < octets.length; offset += 4) text += `-${octets.readUInt32LE(offset)}`
  return text
}

/** The reverse of `formatSid`, in any case. */
export function parseSid(text: string): Buffer | undefined {
  const [, authorityText, rest = ''] = TEXT.exec(text) ?? []
  if (authorityText === undefined) return undefined
  const authority = Number(authorityText)
  const hexadecimal = authorityText.length > 10
  // One text for one SID: hexadecimal from 2^32 on and only from there.
  if (authority >= HEX_AUTHORITY !== hexadecimal) return undefined
  const parts = rest.split('-').slice(1).map(Number)
  if (parts.some(part => part >= 2 ** 32)) return undefined
  const octets = Buffer.alloc(8 + 4 * parts.length)
  octets.writeUInt8(REVISION, 0)
  octets.writeUInt8(parts.length, 1)
  octets.writeUIntBE(authority, 2, 6)
  parts.forEach((part, index) => {
    octets.writeUInt32LE(part, 8 + 4 * index)
  })
  return octets
}

/**
 * The SID of another principal in the same domain: the last number is the principal's own ([MS-ADTS] section 3.1.1.1.3).
 *
 * @param sid of anybody in the domain
 * @param relativeId from 0 to 2^32 - 1, such as a primaryGroupID
 * @returns undefined if there is no such SID
 */
export function neighbourSid(sid: Buffer, relativeId: number): Buffer | undefined {
  const isId = Number.isInteger(relativeId) && relativeId >= 0 && relativeId < 2 ** 32
  if (!isId || formatSid(sid) === undefined || sid.length < 12) return undefined
  const neighbour = Buffer.from(sid)
  neighbour.writeUInt32LE(relativeId, sid.length - 4)
  return neighbour
}
