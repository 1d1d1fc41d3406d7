import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Secret } from '../authentication/secret.ts'

/**
 * How the daemon shows that it knows the admin token without telling it: a command sends neither token nor password to a port
 * that somebody else has taken while the daemon was away. The port is part of it, so that nobody can pass the question on to a
 * daemon on another one.
 *
 * @param nonce random, of whoever asks
 * @param port that the daemon was asked on
 * @returns HMAC-SHA-256 in base64url
 */
export function proveToken(token: Secret, nonce: string, port: number): string {
  return createHmac('sha256', token.reveal()).update(`gatehouse admin ${port} ${nonce}`).digest('base64url')
}

/** Compares in constant time. */
export function isProof(proof: unknown, token: Secret, nonce: string, port: number): boolean {
  const expected = Buffer.from(proveToken(token, nonce, port))
  const given = Buffer.from(typeof proof === 'string' ? proof : '')
  return given.length === expected.length && timingSafeEqual(given, expected)
}
