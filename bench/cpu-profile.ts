/** What `node --cpu-prof` writes, and where a thread was within some window of it. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Times are in microseconds of the monotonic clock. */
export interface CpuProfile {
  readonly startTime: number
  readonly nodes: readonly { readonly id: number; readonly callFrame: CallFrame }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

export interface CallFrame {
  readonly functionName: string
  /** Empty for what is not JavaScript. */
  readonly url: string
  /** From 0. */
  readonly lineNumber: number
}

export interface Window {
  readonly from: number
  readonly to: number
}

/** Of this machine's monotonic clock, in microseconds. */
export function monotonicUs(): number {
  return Number(process.hrtime.bigint() / 1000n)
}

/** @throws Error if the process has left none in the folder, or several */
export async function readOnlyProfile(folder: string): Promise<CpuProfile> {
  const [file, ...others] = await readdir(folder)
  if (file === undefined || others.length > 0)
    throw new Error(
      `the process has left ${others.length === 0 ? 'no profile' : 'several profiles'} in ${folder}`,
    )
  return JSON.parse(await readFile(join(folder, file), 'utf8'))
}

/**
 * What part of the time that the thread was not idle goes to each key, as parts of 1.
 *
 * @param keyOf undefined for frames that have no part in it
 * @throws Error if nothing was sampled then
 */
export function sharesOf(
  { startTime, nodes, samples, timeDeltas }: CpuProfile,
  { from, to }: Window,
  keyOf: (frame: CallFrame) => string | undefined,
): ReadonlyMap<string, number> {
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]))
  const shares = new Map<string, number>()
  let at = startTime
  let busy = 0
  for (const [index, id] of samples.entries()) {
    const took = timeDeltas[index] ?? 0
    at += took
    const frame = frames.get(id)
    if (at < from || at > to || frame === undefined || frame.functionName === '(idle)') continue
    busy += took
    const key = keyOf(frame)
    if (key !== undefined) shares.set(key, (shares.get(key) ?? 0) + took)
  }
  if (busy === 0) throw new Error('the profile has nothing of the time that was measured')
  for (const [key, us] of shares) shares.set(key, us / busy)
  return shares
}

/** The room of a function: a folder of ours, a package, Node.js, or what it does where it is in none of them. */
export function placeOf({ functionName, url }: CallFrame): string {
  const dependency = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1]
  if (dependency !== undefined) return `\`${dependency}\``
  const own = /\/src\/((?:[\w-]+\/)*)[^/]*$/.exec(url)?.[1]
  if (own !== undefined) return `\`src/${own}\``
  if (url.startsWith('node:')) return 'Node.js, in JavaScript'
  switch (functionName) {
    case 'writeBuffer':
      return 'writes to the directory'
    case 'writeUtf8String':
    case 'writeLatin1String':
      return 'writes to callers'
    case 'postMessage':
      return 'rows handed to the audit thread'
    case '(garbage collector)':
      return 'garbage collection'
    case '(program)':
      return 'Node.js, V8 and the kernel outside of any function'
    case 'runMicrotasks':
      return 'promises'
    default:
      return 'functions of V8 and Node.js that are not JavaScript'
  }
}

/** A function in JavaScript by its name and place; undefined for any other. */
export function functionOf({ functionName, url, lineNumber }: CallFrame): string | undefined {
  if (url === '') return undefined
  const file = url.replace(/^.*\/(?=(?:src|node_modules)\/)/, '')
  return `\`${functionName || '(anonymous)'}\`, ${file}:${lineNumber + 1}`
}
