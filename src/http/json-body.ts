/**
 * Reads a JSON body more strictly than `JSON.parse` does, because two readers of one body must never see two different
 * logins in it (security.md S63, faults.md F34).
 */
import { isUtf8 } from 'node:buffer'
import type { IncomingMessage } from 'node:http'
import { errorCodes, type FastifyInstance, type FastifyRequest } from 'fastify'
import type { Limits } from './limits.ts'
import { RequestFault } from './request-fault.ts'

/** Thrown for a body that is not plain JSON by its header; answered as `unsupported_media_type`. */
export class UnsupportedMediaType extends Error {
  override readonly name = 'UnsupportedMediaType'
}

/** RFC 9110 section 8.3.1: the type in any case, and no parameter but `charset=utf-8`. */
const JSON_TYPE = /^application\/json(?:[ \t]*;[ \t]*charset=(?:utf-8|"utf-8"))?$/i

/** Keys that reach the prototype in code that copies objects carelessly. */
const FORBIDDEN_KEYS = new Set(['__proto__', 'constructor', 'prototype'])

/** Makes this the only parser of bodies in `app`. */
export function acceptJsonBodies(
  app: FastifyInstance,
  limits: Pick<Limits, 'bodyBytes' | 'bodyDepth'>,
): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', (request, payload, done) => {
    readBody(request, payload, limits.bodyBytes, (error, chunks) => {
      try {
        done(error, error ? undefined : parseChunks(chunks, limits.bodyDepth))
      } catch (fault) {
        done(fault as Error)
      } finally {
        // There may be a password in them.
        for (const chunk of chunks) chunk.fill(0)
      }
    })
  })
}

/** Told once: with the body, or with why there is none and what came of it. */
type TakeBody = (error: Error | null, chunks: readonly Buffer[]) => void

/** As Fastify's own reading of a body, but for that it keeps no copy. */
function readBody(
  { headers }: FastifyRequest,
  payload: IncomingMessage,
  limit: number,
  take: TakeBody,
): void {
  const length = headers['content-length'] === undefined ? undefined : Number(headers['content-length'])
  const chunks: Buffer[] = []
  let size = 0
  if (length !== undefined && length > limit) {
    take(new errorCodes.FST_ERR_CTP_BODY_TOO_LARGE(), chunks)
    return
  }
  payload.on('data', onData).on('end', onEnd).on('error', onEnd)
  payload.resume()

  function onData(chunk: Buffer): void {
    size += chunk.length
    chunks.push(chunk)
    if (size > limit) finish(new errorCodes.FST_ERR_CTP_BODY_TOO_LARGE())
  }

  function onEnd(error?: Error): void {
    if (error) finish(error)
    else
      finish(
        length === undefined || size === length ? null : new errorCodes.FST_ERR_CTP_INVALID_CONTENT_LENGTH(),
      )
  }

  function finish(error: Error | null): void {
    payload.off('data', onData).off('end', onEnd).off('error', onEnd)
    take(error, chunks)
  }
}

function parseChunks(chunks: readonly Buffer[], depth: number): unknown {
  const [first] = chunks
  if (first !== undefined && chunks.length === 1) return parseJson(first, depth)
  const body = Buffer.concat(chunks)
  try {
    return parseJson(body, depth)
  } finally {
    body.fill(0)
  }
}

/**
 * Judges by the header alone, so that a body that nobody will take is not read.
 *
 * @throws UnsupportedMediaType
 */
export function requireJson({ headers }: FastifyRequest): void {
  const encoding = headers['content-encoding']
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    throw new UnsupportedMediaType('a Content-Encoding')
  }
  if (!JSON_TYPE.test(headers['content-type'] ?? '')) throw new UnsupportedMediaType('not application/json')
}

/**
 * @param depth how deep objects and arrays may nest; a flat object is 1
 * @throws RequestFault for anything but strict JSON in strict UTF-8: also for a byte order mark, a key that occurs twice
 *   in one object (however it is spelled), a key of a prototype, a lone surrogate and too much nesting
 */
export function parseJson(body: Buffer, depth: number): unknown {
  if (!isUtf8(body)) throw new RequestFault({ pointer: '', detail: 'not UTF-8' })
  const text = body.toString('utf8')
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // The message of V8 quotes the text, which may hold a password.
    throw new RequestFault({ pointer: '', detail: 'not JSON' })
  }
  const detail = findFault(text, depth)
  if (detail !== undefined) throw new RequestFault({ pointer: '', detail })
  return value
}

/** Looks for what `JSON.parse` lets pass, in a text that it took. */
function findFault(json: string, maxDepth: number): string | undefined {
  /** For every open container its keys so far; undefined for an array. */
  const open: (Set<string> | undefined)[] = []
  let keyNext = false
  for (let at = 0; at < json.length; at += 1) {
    switch (json[at]) {
      case '{':
      case '[':
        if (open.length === maxDepth) return `nested more than ${maxDepth} deep`
        keyNext = json[at] === '{'
        open.push(keyNext ? new Set() : undefined)
        break
      case '}':
      case ']':
        open.pop()
        break
      case ',':
        keyNext = open.at(-1) !== undefined
        break
      case ':':
        keyNext = false
        break
      case '"': {
        const end = endOfString(json, at)
        const text = readString(json, at, end)
        // Surrogates come in pairs or not at all: alone they have no UTF-8, so no backend could be sent them.
        if (!text.isWellFormed()) return 'a lone surrogate in a string'
        if (keyNext) {
          if (FORBIDDEN_KEYS.has(text)) return 'a key that is not allowed'
          if (open.at(-1)?.has(text)) return 'a key that occurs twice in one object'
          open.at(-1)?.add(text)
        }
        at = end
      }
    }
  }
  return undefined
}

/** The position of the closing quote of the string that opens at `start`. */
function endOfString(json: string, start: number): number {
  let at = start + 1
  while (json[at] !== '"') at += json[at] === '\\' ? 2 : 1
  return at
}

function readString(json: string, start: number, end: number): string {
  const raw = json.slice(start + 1, end)
  return raw.includes('\\') ? JSON.parse(`"${raw}"`) : raw
}
