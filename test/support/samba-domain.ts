/** Samba's programs and the tests' domain, made once for all checkouts and kept as a pristine copy. */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { access, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { cacheFolder, type DebianProgram, oneAtATime, provideDebianProgram } from './debian.ts'
import { sambaDomain } from './samba-people.ts'
import { sambaSeed } from './samba-seed.ts'

const run = promisify(execFile)

export interface SambaDomain {
  readonly program: DebianProgram
  /** A folder with the whole domain in it, to be copied and never used. */
  readonly pristine: string
}

/** A command of Samba's packages with what it needs around it. */
export interface SambaCommand {
  readonly file: string
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
}

const packages = ['samba-ad-provision', 'samba-dsdb-modules', 'samba-vfs-modules', 'python3-samba']
const seedScript = fileURLToPath(new URL('../../fixtures/samba/seed.py', import.meta.url))
/** `python3` in PATH may be another one, that does not know Samba. */
const python = '/usr/bin/python3'
/** A domain that nobody has used for so long is of an older checkout. */
const forgottenAfterMs = 14 * 86_400_000

const provisionArguments = [
  `--realm=${sambaDomain.dns}`,
  `--domain=${sambaDomain.netbios}`,
  `--host-name=${sambaDomain.host.split('.')[0]}`,
  `--adminpass=${sambaDomain.administrator.password}`,
  '--server-role=dc',
  '--dns-backend=SAMBA_INTERNAL',
  // Each server puts its own address in its place. 127.0.0.1 would be left out of the DNS.
  '--host-ip=127.0.77.1',
  '--option=interfaces=127.0.0.1/8',
  '--option=bind interfaces only=yes',
  '--option=ldb:nosync=true',
] as const

/**
 * Debian's Samba, the system's or one fetched for the tests, and the domain.
 *
 * @throws {Error} naming what to install or to do
 */
export async function provideSamba(): Promise<SambaDomain> {
  if (process.getuid?.() !== 0) {
    throw new Error(
      'The tests need a Samba domain controller, and that takes root: it serves the ports 53, 88, 389 and 636, each on ' +
        'a loopback address of its own, and owns files for others.\n' +
        'Run them as root, such as: sudo npm test\n' +
        `Without a network also install: apt-get install --no-install-recommends samba ${packages.join(' ')}`,
    )
  }
  const program = await provideDebianProgram({
    name: 'samba',
    also: packages,
    program: '/usr/sbin/samba',
    prober: python,
    probe: ['-c', probe],
    overlay: true,
  })
  const folder = join(cacheFolder(), 'samba')
  await mkdir(folder, { recursive: true })
  const pristine = join(folder, await nameOf(program))
  await oneAtATime(join(folder, 'lock'), async () => {
    if (await exists(pristine)) return
    await forget(folder)
    await make(program, folder, pristine)
  })
  await utimes(pristine, new Date(), new Date())
  return { program, pristine }
}

export function sambaCommand({ prefix, env }: DebianProgram, command: readonly string[]): SambaCommand {
  const [file = '', ...args] = [...prefix, ...command]
  return { file, args, env: { ...process.env, ...env } }
}

/**
 * Runs one of Samba's tools on the databases of a server, which may run meanwhile.
 *
 * @returns what it wrote to standard output
 */
export async function runSambaTool(
  program: DebianProgram,
  command: readonly string[],
  input = '',
): Promise<string> {
  const { file, args, env } = sambaCommand(program, command)
  const running = run(file, [...args], { env, maxBuffer: 16 * 1024 * 1024, timeout: 60_000 })
  running.child.stdin?.on('error', () => {}).end(input)
  return (await running).stdout
}

/** Where a server in this folder has its files, for smb.conf(5); the same that `provision --targetdir` chose. */
export function sambaFolders(folder: string): string {
  return `
private dir = ${join(folder, 'private')}
state directory = ${join(folder, 'state')}
cache directory = ${join(folder, 'cache')}
lock directory = ${folder}
pid directory = ${folder}
binddns dir = ${join(folder, 'bind-dns')}
ncalrpc dir = ${join(folder, 'ncalrpc')}
`
}

export function samLdb(folder: string): string {
  return join(folder, 'private', 'sam.ldb')
}

/** The server, its modules for Python and for its databases, and what a domain is made from are in packages of their own. */
const probe = `
import glob, os, subprocess
import samba.provision, samba.samdb
assert os.path.exists('/usr/share/samba/setup/provision.ldif')
assert glob.glob('/usr/lib/*/samba/ldb/samba_dsdb.so') and glob.glob('/usr/lib/*/samba/vfs/acl_xattr.so')
subprocess.run(['/usr/sbin/samba', '-V'], check=True)
`

/** The same name for the same domain: of all that it is made from. */
async function nameOf(program: DebianProgram): Promise<string> {
  const version = await runSambaTool(program, [program.path, '-V'])
  const parts = [
    version,
    provisionArguments.join('\n'),
    JSON.stringify(sambaSeed()),
    await readFile(seedScript),
  ]
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part).update('\0')
  return hash.digest('hex').slice(0, 16)
}

async function make(program: DebianProgram, folder: string, pristine: string): Promise<void> {
  process.stderr.write('making a Samba domain, once for all tests\n')
  const work = await mkdtemp(join(folder, 'making-'))
  try {
    await runSambaTool(program, [
      ...['/usr/bin/samba-tool', 'domain', 'provision', ...provisionArguments],
      `--targetdir=${work}`,
    ])
    const config = join(work, 'etc', 'smb.conf')
    await runSambaTool(program, [python, seedScript, config, samLdb(work)], JSON.stringify(sambaSeed()))
    // Each server writes its own, and this one names a folder that goes away and this machine's name server.
    await rm(join(work, 'etc'), { recursive: true })
    await rename(work, pristine)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

async function forget(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const { mtimeMs } = await stat(join(folder, name))
    if (name !== 'lock' && Date.now() - mtimeMs > forgottenAfterMs) {
      await rm(join(folder, name), { recursive: true, force: true })
    }
  }
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
