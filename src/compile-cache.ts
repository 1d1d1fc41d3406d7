/**
 * Compiled code from one start to the next: about a tenth of the CPU of a start, and a fifth where the types have to be stripped.
 *
 * What is in the cache is run, so it is code, and its folder must be as well kept as the code itself. It lies in the
 * installation's own `node_modules`, where whoever may write can change what runs anyway: never beside the database, which an
 * operator may share, nor in a temporary folder, which everybody does. An installation that the daemon cannot write to
 * (the image, a package of root's) has what was put there when it was made, or none: then it starts slower, that's all.
 */
import { mkdirSync, statSync } from 'node:fs'
import { enableCompileCache } from 'node:module'
import { fileURLToPath } from 'node:url'

/** Node.js keeps what different versions and different users make apart in here. */
const FOLDER = fileURLToPath(new URL('../node_modules/.cache/gatehouse', import.meta.url))

/** Modules that are loaded from now on come from the cache where they can, and go into it when the process ends. Never throws. */
export function useCompileCache(folder = FOLDER, env: NodeJS.ProcessEnv = process.env): void {
  // What is counted line by line has to be compiled for it.
  if (env.NODE_V8_COVERAGE !== undefined) return
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    if (isKept(folder)) enableCompileCache(folder)
  } catch {
    // Not ours to write to, and nothing there: nothing is cached.
  }
}

/** Only root and we ourselves may write there; an older folder, or a loose umask, may say otherwise. */
function isKept(folder: string): boolean {
  const { uid, mode } = statSync(folder)
  return (uid === 0 || uid === process.getuid?.()) && (mode & 0o022) === 0
}
