import type { Reply } from './house.ts'

/** What somebody outside can compare two replies by: all of them but the id of the request and the time of day. */
export function shownBy({ status, headers, text, body }: Reply): object {
  const { date: _date, 'x-request-id': _id, ...others } = headers
  const requestId = String(body.request_id ?? '')
  return { status, headers: others, text: requestId === '' ? text : text.replaceAll(requestId, 'ID') }
}

/** A text in ASCII, for the message of an assertion: some characters would end its line. */
export function spelled(text: unknown): string {
  const json = JSON.stringify(text) ?? 'nothing'
  return json
    .replace(/[^ -~]/g, character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .slice(0, 120)
}
