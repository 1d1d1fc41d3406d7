import { globSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { provideDebianProgram } from './debian.ts'

/** A wall clock that a test sets while a process runs: Debian's libfaketime. Durations (the monotonic clock) stay as they are. */
export interface FakeWall {
  /** For the process whose clock it is. */
  readonly env: Readonly<Record<string, string>>
  /** From now on the wall clock is so many milliseconds ahead; behind, if negative. */
  shift(milliseconds: number): void
  /** From now on the wall clock stands still, at so many milliseconds since the Unix epoch. */
  stopAt(milliseconds: number): void
}

/**
 * @param folder where the file is kept that the process reads the time from
 * @param options.atOnce the process looks at the file whenever it asks for the time; else within a second
 */
export async function provideFakeWall(
  folder: string,
  { atOnce = false }: { readonly atOnce?: boolean } = {},
): Promise<FakeWall> {
  const { root } = await provideDebianProgram({
    name: 'faketime',
    program: '/usr/bin/faketime',
    also: ['libfaketime'],
    probe: ['--version'],
  })
  const [library] = globSync(`${root}/usr/lib/*/faketime/libfaketime.so.1`)
  if (library === undefined) throw new Error('the package libfaketime holds no libfaketime.so.1')
  const file = join(folder, 'wall-clock')
  const shift = (milliseconds: number) =>
    writeFileSync(file, `${milliseconds < 0 ? '-' : '+'}${Math.abs(milliseconds) / 1_000}s\n`)
  shift(0)
  return {
    env: {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: file,
      ...(atOnce ? { FAKETIME_NO_CACHE: '1' } : { FAKETIME_CACHE_DURATION: '1' }),
      FAKETIME_FMT: '%s',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      DONT_FAKE_MONOTONIC: '1',
    },
    shift,
    stopAt(milliseconds) {
      // In the middle of the millisecond, for what is read is rounded down. Renamed, so that nobody reads half a time.
      writeFileSync(`${file}.new`, `${((milliseconds + 0.5) / 1_000).toFixed(4)}\n`)
      renameSync(`${file}.new`, file)
    },
  }
}
