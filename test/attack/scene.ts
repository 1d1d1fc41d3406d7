/**
 * The frame of the attack campaign (docs/attacks.md). A scene is one attack, played by a tap test; what it came to is one row
 * of the table, or more. Whatever plays it, the use case in this process or a real daemon, hands back the same numbers.
 */
import { appendFileSync } from 'node:fs'
import { basename } from 'node:path'
import t, { type Test } from 'tap'
import { type Chance, createChance } from '../support/chance.ts'

/** What an attack came to. Counted where guesses are verified and logins answered, never told by the lockout. */
export interface Played {
  /** If a scene has several rows: which of them this is. */
  readonly of?: string
  /** Wrong guesses that reached the directory, and how many were promised at most. */
  readonly guesses: {
    readonly verified: number
    readonly bound: number
    /** What is counted, if it is not guesses at the one victim. */
    readonly unit?: string
    /** Nothing need get through, such as where a place may be taken by a guess of which nobody knows what became. */
    readonly mayBeNone?: true
  }
  /** Right passwords of those who are attacked: how many were refused, and how many may be. */
  readonly logins?: {
    readonly refused: number
    readonly of: number
    /** A number that was promised, or what nobody promises. */
    readonly mayRefuse: number | 'no promise'
  }
  readonly memory?: {
    readonly bytes: number
    readonly mostBytes: number
    /** Bytes that the store accounts for, or what the process really took. */
    readonly what: 'accounted' | 'heap' | 'RSS'
  }
}

/** One line of the table, as a file of JSON lines carries it from the scenes to whoever prints them. */
export interface Row extends Partial<Played> {
  /** Where it is played. */
  readonly file: string
  readonly attack: string
  readonly result: 'held' | 'BROKEN'
}

/** What a scene gets to play with. */
export interface Stage {
  readonly t: Test
  /** From the campaign's seed and the scene's title: each scene can be had again by itself. */
  readonly chance: Chance
  /** How long an attack goes on, in milliseconds. */
  readonly attackMs: number
  /** How many addresses an attacker has who has many. */
  readonly sources: number
}

const HOUR_MS = 3_600_000
const seed = numberFrom('GATEHOUSE_ATTACK_SEED', Date.now() % 2 ** 31)
const sources = numberFrom('GATEHOUSE_ATTACK_SOURCES', 10_000)
const attackMs = numberFrom('GATEHOUSE_ATTACK_HOURS', 24) * HOUR_MS
const rowsFile = process.env.GATEHOUSE_ATTACK_ROWS

/**
 * Plays one attack as a tap test, asserts every bound of what it came to, and writes its rows down.
 *
 * @param attack its title, in the table and in tap's output
 * @param play may assert more by itself: the row is broken if anything in the test is
 */
export function playScene(
  attack: string,
  play: (stage: Stage) => Promise<Played | readonly [Played, ...Played[]]>,
): void {
  void t.test(attack, async t => {
    t.comment(`GATEHOUSE_ATTACK_SEED=${seed}`)
    try {
      const played = await play({ t, chance: createChance(seed ^ hashOf(attack)), attackMs, sources })
      const all: readonly Played[] = 'guesses' in played ? [played] : played
      for (const row of all) holdBounds(t, row)
      // A test that fails breaks all of its rows: which of them a further assertion was about is not known here.
      const result = t.passing() ? 'held' : 'BROKEN'
      for (const row of all) write({ attack, ...row, result })
    } catch (error) {
      write({ attack, result: 'BROKEN' })
      throw error
    }
  })
}

function holdBounds(t: Test, { of = 'the attack', guesses, logins, memory }: Played): void {
  const { verified, bound, unit = 'guesses verified', mayBeNone } = guesses
  t.ok(verified <= bound, `${of}: ${verified} ${unit}, promised at most ${bound}`)
  // An attack of which nothing arrives shows nothing.
  if (bound > 0 && !mayBeNone) t.ok(verified > 0, `${of}: the attack gets through to its bound or below`)
  if (logins !== undefined) {
    const { refused, mayRefuse } = logins
    t.ok(logins.of > 0, `${of}: somebody legitimate logs in`)
    if (mayRefuse !== 'no promise') {
      t.ok(
        refused <= mayRefuse,
        `${of}: ${refused} of ${logins.of} logins refused, promised at most ${mayRefuse}`,
      )
    }
  }
  if (memory !== undefined) {
    const { bytes, mostBytes, what } = memory
    t.ok(bytes <= mostBytes, `${of}: ${bytes} bytes ${what}, promised at most ${mostBytes}`)
  }
}

function write(row: Omit<Row, 'file'>): void {
  const file = basename(process.argv[1] ?? '')
  if (rowsFile !== undefined) appendFileSync(rowsFile, `${JSON.stringify({ file, ...row })}\n`)
}

function numberFrom(name: string, otherwise: number): number {
  const number = Number(process.env[name] ?? otherwise)
  if (!Number.isFinite(number) || number < 0) throw new RangeError(`${name} must be a number from 0 on`)
  return number
}

/** FNV-1a, so that scenes with one seed do not all roll the same dice. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (const octet of Buffer.from(text)) hash = Math.imul(hash ^ octet, 0x01000193)
  return hash >>> 0
}
