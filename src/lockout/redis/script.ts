import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { FORGET_MS } from '../policy.ts'
import { FAMILIAR_MS, LEASE_MS, MOST_FAMILIAR, MOST_NAMES, MOST_NEW_NAMES } from '../store.ts'
import { KINDS } from './wire.ts'

/** What the script and the rest of the program must agree on, and what only the script knows. */
const CONSTANTS = {
  LEASE_MS,
  FORGET_MS,
  FAMILIAR_MS,
  MOST_FAMILIAR,
  MOST_NAMES,
  MOST_NEW_NAMES,
  /** What a lease held is found so long, if nobody asks for anything meanwhile. */
  KEEP_LEASE_MS: 3_600_000,
  /** Leases that one call ends because nobody did: each call stays short. */
  MOST_OVERDUE: 100,
  /** Accounts that one pardon reaches. */
  MOST_LINKED: 1_000,
  KEEP_PARDONS_MS: 24 * 3_600_000,
  MOST_PARDONS: 1_000,
}

/** One call's input: the prefix as its only key, so that a cluster knows the slot, and the request as JSON. */
const INPUT = `
local prefix, request = KEYS[1], cjson.decode(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`

const parts = ['policy.lua', 'memory.lua', 'steps.lua', 'desk.lua'].map(name =>
  readFileSync(new URL(name, import.meta.url), 'utf8'),
)

/** The one program that Redis runs, and what EVALSHA calls it. */
export const SCRIPT: string = [
  ...Object.entries(CONSTANTS).map(([name, value]) => `local ${name} = ${value}`),
  `local KINDS = { ${KINDS.map(kind => `'${kind}'`).join(', ')} }`,
  INPUT,
  ...parts,
].join('\n')

export const SCRIPT_SHA: string = createHash('sha1').update(SCRIPT).digest('hex')
