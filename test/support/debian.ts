import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, constants, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

/**
 * Debian's own servers for the tests, without installing them. A program that the system has is used as it is.
 * Otherwise its packages are downloaded and unpacked into a private folder that all checkouts share:
 * no root is needed, nothing of the system changes, no maintainer script runs, no service starts.
 */

const run = promisify(execFile)

/** A program and where its package's other files are. */
export interface DebianProgram {
  /** The binary's absolute path. */
  readonly path: string
  /** What the package's absolute paths (`/usr/lib/ldap`) stand under: empty for the system, else the private folder. */
  readonly root: string
  /** What its process needs on top of the environment, so that it finds its private libraries. */
  readonly env: Readonly<Record<string, string>>
  /** Stands before a command line, so that it finds the private files under their own paths; empty where none is needed. */
  readonly prefix: readonly string[]
}

export interface DebianRequest {
  /** The package that carries the program. */
  readonly name: string
  /** Where that package puts the program, absolute. */
  readonly program: string
  /** Arguments with which it exits 0 at once: proof that it finds all its libraries. */
  readonly probe: readonly string[]
  /** Another program to give them to, where running the one that is wanted proves too little. */
  readonly prober?: string
  /** Further packages that are needed. */
  readonly also?: readonly string[]
  /**
   * For programs that look for their files under absolute paths: they see the private `/usr` laid over the system's,
   * in a mount namespace of their own (mount_namespaces(7)). Takes root.
   */
  readonly overlay?: boolean
  /** What the program needs in its environment when it lies under that folder. */
  readonly environment?: (root: string) => Readonly<Record<string, string>>
  /** Gets a line whenever something is fetched; standard error by default. */
  readonly say?: (line: string) => void
  /** Where to unpack; by default `gatehouse/debian` in the user's cache folder. */
  readonly folder?: string
}

/**
 * The system's program, the one unpacked earlier, or one fetched now.
 *
 * @throws Error naming the command that installs the package, when it is neither here nor to be had
 */
export async function provideDebianProgram(request: DebianRequest): Promise<DebianProgram> {
  const onSystem: DebianProgram = { path: request.program, root: '', env: {}, prefix: [] }
  if (await works(onSystem, request)) return onSystem
  const folder = request.folder ?? join(cacheFolder(), 'debian')
  const unpacked = await privateProgram(join(folder, request.name), request)
  if (await works(unpacked, request)) return unpacked

  try {
    return await fetchOnce(request, folder)
  } catch (error) {
    const reason = error instanceof Error ? error.message.trim() : String(error)
    throw new Error(
      `The tests need ${request.program}. It is not installed and could not be fetched from Debian's archive:\n` +
        `${reason}\nInstall it with: apt-get install --no-install-recommends ${packagesOf(request).join(' ')}`,
      { cause: error },
    )
  }
}

/** Of several processes that come at once, one fetches and the others wait for it. */
async function fetchOnce(request: DebianRequest, folder: string): Promise<DebianProgram> {
  await mkdir(folder, { recursive: true })
  const root = join(folder, request.name)
  return oneAtATime(`${root}.lock`, async () => {
    const arrived = await privateProgram(root, request)
    if (await works(arrived, request)) return arrived
    await fetchPackage(request, folder, root)
    return privateProgram(root, request)
  })
}

/** Where what was fetched is kept for all checkouts. */
export function cacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'gatehouse')
}

function packagesOf({ name, also = [] }: DebianRequest): readonly string[] {
  return [name, ...also]
}

/** `$0` is the private folder, `$@` the command. */
const OVERLAY = 'mount -t overlay overlay -o "lowerdir=$0/usr:/usr" /usr && exec "$@"'

async function privateProgram(root: string, request: DebianRequest): Promise<DebianProgram> {
  if (request.overlay) {
    const prefix = ['unshare', '--mount', 'sh', '-c', OVERLAY, root]
    return { path: request.program, root, env: { ...request.environment?.(root) }, prefix }
  }
  const libraries = ['usr/lib', 'lib'].map(folder => join(root, folder))
  const multiarch = await Promise.all(
    libraries.map(async folder => {
      const names = await readdir(folder).catch(() => [])
      return names.filter(name => name.endsWith('-linux-gnu')).map(name => join(folder, name))
    }),
  )
  const env = { LD_LIBRARY_PATH: multiarch.flat().join(':'), ...request.environment?.(root) }
  return { path: join(root, request.program), root, env, prefix: [] }
}

async function works(program: DebianProgram, request: DebianRequest): Promise<boolean> {
  return (await failureOf(program, request)) === undefined
}

/** Why it does not run, in its own words; undefined if it does. */
async function failureOf(
  { path, root, env, prefix }: DebianProgram,
  { probe, prober }: DebianRequest,
): Promise<string | undefined> {
  try {
    await access(prefix.length > 0 ? join(root, path) : path, constants.X_OK)
    const [command = path, ...args] = [...prefix, prober ?? path, ...probe]
    await run(command, args, { env: { ...process.env, ...env }, timeout: 10_000 })
    return undefined
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : ''
    return said.split('\n').at(-1) || String(error)
  }
}

async function fetchPackage(request: DebianRequest, folder: string, root: string): Promise<void> {
  const say = request.say ?? (line => process.stderr.write(`${line}\n`))
  const work = await mkdtemp(join(folder, `${request.name}-`))
  try {
    say(`${request.name} is not installed: fetching it from Debian's archive, for the tests only`)
    const packages = await download(packagesOf(request), work)
    const tree = join(work, 'tree')
    for (const file of packages) await run('dpkg-deb', ['-x', join(work, file), tree])
    const unpacked = await privateProgram(tree, request)
    const failure = await failureOf(unpacked, request)
    if (failure !== undefined) throw new Error(`${request.program} does not run once unpacked: ${failure}`)
    await rm(root, { recursive: true, force: true })
    await rename(tree, root)
    say(
      `unpacked ${packages.join(', ')} into ${root}; nothing was installed, started or configured on this system`,
    )
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

/** Downloads the packages and what the system lacks of their dependencies; the names of the files in `work`. */
async function download(names: readonly string[], work: string): Promise<string[]> {
  try {
    await downloadWith([], names, work)
  } catch {
    // No package lists, or too old ones: fetch fresh ones, but into our own folder and not over the system's.
    const lists = join(work, 'apt')
    await mkdir(join(lists, 'lists', 'partial'), { recursive: true })
    await mkdir(join(lists, 'cache', 'archives', 'partial'), { recursive: true })
    const options = [
      '-o',
      `Dir::State::Lists=${join(lists, 'lists')}`,
      '-o',
      `Dir::Cache=${join(lists, 'cache')}`,
    ]
    await apt(['update', '-o', 'APT::Update::Error-Mode=any', ...options], work)
    await downloadWith(options, names, work)
  }
  return (await readdir(work)).filter(file => file.endsWith('.deb'))
}

async function downloadWith(options: string[], names: readonly string[], work: string): Promise<void> {
  const plan = await apt(['install', '--simulate', '--no-install-recommends', ...options, ...names], work)
  const packages = [...plan.matchAll(/^Inst (\S+)/gm)].flatMap(match => match[1] ?? [])
  await apt(['download', ...options, ...packages], work)
}

async function apt(command: string[], work: string): Promise<string> {
  // Downloading as the user who asks: apt's own sandbox user cannot write into a private folder.
  const sandbox = ['-o', 'APT::Sandbox::User=', '-o', 'Debug::NoLocking=true', '-o', 'Acquire::Retries=1']
  try {
    const { stdout } = await run('apt-get', ['--quiet', ...command, ...sandbox], {
      cwd: work,
      env: { ...process.env, LC_ALL: 'C' },
      timeout: 120_000,
      maxBuffer: 16 * 1024 * 1024,
    })
    return stdout
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr) : ''
    const reasons = [...new Set(said.match(/^E: .*$/gm))].slice(0, 3)
    if (reasons.length === 0) throw error
    throw new Error(reasons.join('\n'), { cause: error })
  }
}

/**
 * Does the work while no other process does work under the same lock.
 *
 * @param file where the lock is; made if it does not exist
 */
export async function oneAtATime<T>(file: string, work: () => Promise<T>): Promise<T> {
  const lock = await holdLock(file)
  try {
    return await work()
  } finally {
    await releaseLock(lock)
  }
}

/** An exclusive lock that the system takes back if this process dies: a child holds it as long as our pipe is open. */
async function holdLock(file: string): Promise<ChildProcess> {
  const holder = spawn('flock', [file, 'sh', '-c', 'echo held; exec cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const [outcome] = await Promise.race([
    once(holder.stdout, 'data'),
    once(holder, 'exit').then(([code]) => [new Error(`flock ended with ${code}`)]),
  ])
  if (outcome instanceof Error) throw outcome
  return holder
}

async function releaseLock(holder: ChildProcess): Promise<void> {
  holder.stdin?.end()
  if (holder.exitCode === null) await once(holder, 'exit')
}
