/** The two clients in C: compiled on the spot, run for some seconds, their line of JSON read. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const SOURCES = fileURLToPath(new URL('native/', import.meta.url))

/** How a contender is spoken to; see native/exchange.c. */
export type Protocol = 'http' | 'line' | 'octet'

export interface Measured {
  /** That were measured, after the warm-up. */
  readonly seconds: number
  /** Of one reply, in microseconds. */
  readonly p50: number
  readonly p99: number
  /** Of the client itself, in seconds. */
  readonly cpu: number
  /** Connections that got no reply in that time. */
  readonly silent: number
  /** How many replies of each kind. */
  readonly kinds: Readonly<Record<string, number>>
}

export interface Phases {
  /** Called where the measured seconds begin, and where they end. */
  readonly onBegin: () => void
  readonly onEnd: () => void
}

/**
 * Compiles both clients.
 *
 * @returns the folder they are in
 * @throws Error with the compiler's words, or that says that there is none
 */
export async function compileClients(folder: string): Promise<void> {
  for (const name of ['exchange', 'ceiling']) {
    try {
      await run('cc', [
        '-O2',
        '-Wall',
        '-Wno-unused-function',
        '-o',
        join(folder, name),
        join(SOURCES, `${name}.c`),
      ])
    } catch (error) {
      throw new Error(`the clients in C need a compiler (apt-get install gcc libc6-dev): ${String(error)}`)
    }
  }
}

/** @throws Error with the client's own words when it ends early */
export async function runClient(
  command: string,
  args: readonly string[],
  { onBegin, onEnd }: Phases,
): Promise<Measured> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', text => {
    stderr += text
  })
  let measured: Measured | undefined
  const lines = createInterface({ input: child.stdout }).on('line', line => {
    if (line === 'measuring') onBegin()
    else if (line === 'measured') onEnd()
    else measured = JSON.parse(line)
  })
  const [code] = await Promise.all([
    once(child, 'exit').then(([code]) => code as number | null),
    once(lines, 'close'),
  ])
  if (code !== 0 || measured === undefined) throw new Error(`${command} ended with ${code}: ${stderr}`)
  return measured
}

/** Each text after its length in four octets, as native/measure.h reads it. */
export function packTexts(texts: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    texts.flatMap(text => {
      const length = Buffer.alloc(4)
      length.writeUInt32BE(text.length)
      return [length, text]
    }),
  )
}
