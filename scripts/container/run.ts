import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Image } from './build.ts'

const run = promisify(execFile)
/** As in compose.yaml. */
const graceMs = 15_000
/** No container of the proof lives longer, whatever happens. */
const lifeMs = 120_000

/** What compose.yaml asks for, as far as it can be had without an engine. */
export interface ContainerOptions {
  readonly image: Image
  /** Arguments in place of the image's CMD. */
  readonly command?: readonly string[]
  /** Host folder → path in the container, writable. */
  readonly volumes: ReadonlyMap<string, string>
  /** Host file → path in the container, read-only: configuration and secrets. */
  readonly files: ReadonlyMap<string, string>
  /** Path in the container → mount options. */
  readonly tmpfs: ReadonlyMap<string, string>
  /** Sent to standard input, which is then closed. */
  readonly input?: string
}

export interface Container {
  /** The daemon's process id on the host; in its own process namespace it is 1. */
  readonly pid: number
  output(): string
  /** Runs a command in the container's namespaces and root, as its user or as root. */
  exec(command: readonly string[], user?: 'container' | 'root'): Promise<Ended>
  /** Runs this script by the Node of this process, with only the container's network. */
  fetchFromInside(script: string): Promise<string>
  /** Sends the signal to process 1, and waits for the end; after 15 s it is killed. */
  signal(name: NodeJS.Signals): Promise<Ended>
}

export interface Ended {
  /** Null if a signal ended it. */
  readonly code: number | null
  readonly output: string
}

/** Runs the image until it ends by itself. */
export async function runToEnd(options: ContainerOptions): Promise<Ended> {
  const { closed, output } = await start(options)
  return { code: await closed, output: output() }
}

/** Runs the image in the background. */
export async function runContainer(options: ContainerOptions): Promise<Container> {
  const { pid, closed, output } = await start(options)
  const { uid, gid } = options.image.user
  const environment = Object.entries(options.image.environment).map(([name, value]) => `${name}=${value}`)

  return {
    pid,
    output,
    async exec(command, user = 'container') {
      const inside = ['--target', String(pid), '--mount', '--pid', '--net', '--ipc', '--root', '--wd']
      const as = user === 'container' ? ['--setuid', String(uid), '--setgid', String(gid)] : []
      return ended(
        run('nsenter', [...inside, ...as, 'env', '-i', ...environment, ...command], { timeout: 30_000 }),
      )
    },
    async fetchFromInside(script) {
      const node = [process.execPath, '--input-type=module', '--eval', script]
      return (await run('nsenter', ['--target', String(pid), '--net', ...node], { timeout: 30_000 })).stdout
    },
    async signal(name) {
      process.kill(pid, name)
      const patience = setTimeout(() => process.kill(pid, 'SIGKILL'), graceMs)
      const code = await closed
      clearTimeout(patience)
      return { code, output: output() }
    },
  }
}

async function ended(running: Promise<{ stdout: string; stderr: string }>): Promise<Ended> {
  try {
    const { stdout, stderr } = await running
    return { code: 0, output: stdout + stderr }
  } catch (error) {
    if (!(error instanceof Error) || !('stdout' in error && 'stderr' in error && 'code' in error)) throw error
    // Without a number a signal ended it, as when process 1 of its namespace has gone.
    return {
      code: typeof error.code === 'number' ? error.code : null,
      output: `${error.stdout}${error.stderr}`,
    }
  }
}

interface Started {
  readonly pid: number
  /** The exit code, or null if a signal ended it. */
  readonly closed: Promise<number | null>
  output(): string
}

async function start(options: ContainerOptions): Promise<Started> {
  const { image, files, volumes, tmpfs } = options
  const { root } = image
  // An engine makes the places for its mounts in a layer of its own.
  for (const path of files.values()) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), '')
  }
  for (const path of [...volumes.values(), ...tmpfs.keys()])
    await mkdir(join(root, path), { recursive: true })

  const script = `set -e
    ROOT=$1; shift
    mount --bind "$ROOT" "$ROOT"
    mount -t proc proc "$ROOT/proc"
    mount -t tmpfs -o mode=755,size=64k,noexec,nosuid tmpfs "$ROOT/dev"
    for device in null zero full random urandom; do
      touch "$ROOT/dev/$device"; mount --bind "/dev/$device" "$ROOT/dev/$device"
    done
    mount -o remount,bind,ro "$ROOT/dev"
    ${[...tmpfs].map(([path, settings]) => `mount -t tmpfs -o ${settings} tmpfs "$ROOT${path}"`).join('\n')}
    ${[...volumes].map(([host, path]) => `mount --bind "${host}" "$ROOT${path}"`).join('\n')}
    ${[...files].map(([host, path]) => `mount --bind "${host}" "$ROOT${path}"; mount -o remount,bind,ro "$ROOT${path}"`).join('\n')}
    mount -o remount,bind,ro "$ROOT"
    ip link set lo up
    ulimit -c 0
    exec chroot "$ROOT" "$@"`
  const { uid, gid } = image.user
  const locked = [
    '--pdeathsig',
    'KILL',
    '--no-new-privs',
    '--bounding-set=-all',
    '--inh-caps=-all',
    '--ambient-caps=-all',
  ]
  const user = [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups']
  const environment = Object.entries(image.environment).map(([name, value]) => `${name}=${value}`)
  const command = [...image.entrypoint, ...(options.command ?? image.command)]
  const inside = [
    'setpriv',
    ...locked,
    ...user,
    'env',
    '-i',
    '-C',
    image.workingDirectory,
    ...environment,
    ...command,
  ]
  const namespaces = ['--mount', '--pid', '--net', '--ipc', '--uts', '--fork']
  // If this process ends, so does unshare, and with unshare process 1.
  const child = spawn('setpriv', [
    '--pdeathsig',
    'KILL',
    'unshare',
    ...namespaces,
    'sh',
    '-c',
    script,
    'container',
    root,
    ...inside,
  ])
  const chunks: string[] = []
  child.stdout.on('data', chunk => chunks.push(String(chunk)))
  child.stderr.on('data', chunk => chunks.push(String(chunk)))
  child.stdin.end(options.input ?? '')
  const closed = once(child, 'close').then(([code]) => code)
  const pid = await firstProcess(child)
  // The end of process 1 is the end of all others in its namespace.
  const life = setTimeout(() => process.kill(pid, 'SIGKILL'), lifeMs)
  void closed.then(() => clearTimeout(life))
  return { pid, closed, output: () => chunks.join('') }
}

/** The one child of `unshare`: process 1 of the new namespace. */
async function firstProcess(child: ChildProcess): Promise<number> {
  const children = `/proc/${child.pid}/task/${child.pid}/children`
  while (child.exitCode === null) {
    const pid = Number((await readFile(children, 'utf8').catch(() => '')).trim())
    if (pid > 0) return pid
    await pause(10)
  }
  throw new Error(`the container ended at once, with ${child.exitCode}`)
}
