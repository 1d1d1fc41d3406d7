import type { Finding } from '../../../plugin.ts'

/** Something as it should be. */
export function ok(check: string, detail: string): Finding {
  return { status: 'ok', check, detail }
}

/** Something that will do for now. */
export function warn(check: string, detail: string, advice?: string): Finding {
  return { status: 'warn', check, detail, ...(advice !== undefined && { advice }) }
}

/** Something that keeps people out. */
export function fail(check: string, detail: string, advice?: string): Finding {
  return { status: 'fail', check, detail, ...(advice !== undefined && { advice }) }
}
