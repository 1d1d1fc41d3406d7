import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Secret } from '../authentication/secret.ts'
import { canonicalAddress } from './address.ts'

/** Where the daemon was asked: the address and port that the connection was made to. */
export interface Place {
  readonly address: string
  readonly port: number
}

/**
 * How the daemon shows that it knows the admin token without telling it: a command sends neither token nor password to a port
 * that somebody else has taken while the daemon was away. Where it was asked is part of it, so that nobody can pass the question
 * on to a daemon at another place.
 *
 * @param nonce random, of whoever asks
 * @returns HMAC-SHA-256 in base64url
 */
export function proveToken(token: Secret, nonce: string, { address, port }: Place): string {
  const place = `${canonicalAddress(address)} ${port}`
  return createHmac('sha256', token.reveal()).update(`gatehouse admin ${place} ${nonce}`).digest('base64url')
}

/** Compares in constant time. */
export function isProof(proof: unknown, token: Secret, nonce: string, place: Place): boolean {
  const expected = Buffer.from(proveToken(token, nonce, place))
  const given = Buffer.from(typeof proof === 'string' ? proof : '')
  return given.length === expected.length && timingSafeEqual(given, expected)
}
