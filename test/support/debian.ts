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
}

export interface DebianRequest {
  /** The package that carries the program. */
  readonly name: string
  /** Where that package puts the program, absolute. */
  readonly program: string
  /** Arguments with which it exits 0 at once: proof that it finds all its libraries. */
  readonly probe: readonly string[]
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
  const onSystem: DebianProgram = { path: request.program, root: '', env: {} }
  if (await works(onSystem, request.probe)) return onSystem
  const folder = request.folder ?? join(cacheFolder(), 'debian')
  const unpacked = await privateProgram(join(folder, request.name), request)
  if (await works(unpacked, request.probe)) return unpacked

  try {
    return await fetchOnce(request, folder)
  } catch (error) {
    const reason = error instanceof Error ? error.message.trim() : String(error)
    throw new Error(
      `The tests need ${request.program}. It is not installed and could not be fetched from Debian's archive:\n` +
        `${reason}\nInstall it with: apt-get install ${request.name}`,
      { cause: error },
    )
  }
}

/** Of several processes that come at once, one fetches and the others wait for it. */
async function fetchOnce(request: DebianRequest, folder: string): Promise<DebianProgram> {
  await mkdir(folder, { recursive: true })
  const root = join(folder, request.name)
  const lock = await holdLock(`${root}.lock`)
  try {
    const arrived = await privateProgram(root, request)
    if (await works(arrived, request.probe)) return arrived
    await fetchPackage(request, folder, root)
    return await privateProgram(root, request)
  } finally {
    await releaseLock(lock)
  }
}

/** Where what was fetched is kept for all checkouts. */
export function cacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'gatehouse')
}

async function privateProgram(root: string, request: DebianRequest): Promise<DebianProgram> {
  const libraries = ['usr/lib', 'lib'].map(folder => join(root, folder))
  const multiarch = await Promise.all(
    libraries.map(async folder => {
      const names = await readdir(folder).catch(() => [])
      return names.filter(name => name.endsWith('-linux-gnu')).map(name => join(folder, name))
    }),
  )
  const env = { LD_LIBRARY_PATH: multiarch.flat().join(':'), ...request.environment?.(root) }
  return { path: join(root, request.program), root, env }
}

async function works(program: DebianProgram, probe: readonly string[]): Promise<boolean> {
  try {
    await access(program.path, constants.X_OK)
    await run(program.path, [...probe], { env: { ...process.env, ...program.env }, timeout: 10_000 })
    return true
  } catch {
    return false
  }
}

async function fetchPackage(request: DebianRequest, folder: string, root: string): Promise<void> {
  const say = request.say ?? (line => process.stderr.write(`${line}\n`))
  const work = await mkdtemp(join(folder, `${request.name}-`))
  try {
    say(`${request.name} is not installed: fetching it from Debian's archive, for the tests only`)
    const packages = await download(request.name, work)
    const tree = join(work, 'tree')
    for (const file of packages) await run('dpkg-deb', ['-x', join(work, file), tree])
    const unpacked = await privateProgram(tree, request)
    if (!(await works(unpacked, request.probe)))
      throw new Error(`${request.program} does not run once unpacked`)
    await rm(root, { recursive: true, force: true })
    await rename(tree, root)
    say(
      `unpacked ${packages.join(', ')} into ${root}; nothing was installed, started or configured on this system`,
    )
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

/** Downloads the package and what the system lacks of its dependencies; the names of the files in `work`. */
async function download(name: string, work: string): Promise<string[]> {
  try {
    await downloadWith([], name, work)
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
    await downloadWith(options, name, work)
  }
  return (await readdir(work)).filter(file => file.endsWith('.deb'))
}

async function downloadWith(options: string[], name: string, work: string): Promise<void> {
  const plan = await apt(['install', '--simulate', '--no-install-recommends', ...options, name], work)
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
