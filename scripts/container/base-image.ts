import { execFile } from 'node:child_process'
import { access, chmod, cp, mkdir, mkdtemp, rename, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { cacheFolder, provideDebianProgram } from '../../test/support/debian.ts'

const run = promisify(execFile)

/**
 * A root file system that stands in for `node:<version>-<suite>-slim` where there is no engine to pull it: the same
 * Debian by debootstrap (kept for the next time), the same version of Node, this machine's npm, the user `node`.
 *
 * @param image the image's name in the Dockerfile
 * @param root where to put it; must not exist
 * @throws Error when the name is another one, or when Node here is another version
 */
export async function makeBaseImage(image: string, root: string, say: (line: string) => void): Promise<void> {
  const [, version, suite] = /^node:(\d+\.\d+\.\d+)-([a-z]+)-slim$/.exec(image) ?? []
  if (version === undefined || suite === undefined) throw new Error(`no stand-in for the image ${image}`)
  if (process.versions.node !== version) {
    throw new Error(`the image has Node ${version}, and this is ${process.versions.node}`)
  }
  const debian = await debianRoot(suite, say)
  await run('cp', ['-a', debian, root])

  const local = join(root, 'usr', 'local')
  await cp(process.execPath, join(local, 'bin', 'node'))
  await chmod(join(local, 'bin', 'node'), 0o755)
  const { stdout: modules } = await run('npm', ['root', '--global'])
  await cp(join(modules.trim(), 'npm'), join(local, 'lib', 'node_modules', 'npm'), { recursive: true })
  await symlink('../lib/node_modules/npm/bin/npm-cli.js', join(local, 'bin', 'npm'))
  await symlink('../lib/node_modules/npm/bin/npx-cli.js', join(local, 'bin', 'npx'))
  await run('chroot', [root, 'useradd', '--uid', '1000', '--user-group', '--create-home', 'node'])
}

async function debianRoot(suite: string, say: (line: string) => void): Promise<string> {
  const folder = cacheFolder()
  const kept = join(folder, `root-${suite}`)
  if (await exists(kept)) return kept
  const debootstrap = await provideDebianProgram({
    name: 'debootstrap',
    program: '/usr/sbin/debootstrap',
    probe: ['--version'],
    environment: root => ({ DEBOOTSTRAP_DIR: join(root, 'usr', 'share', 'debootstrap') }),
    say,
  })
  say(`making a Debian ${suite} with debootstrap in ${kept}; a minute or two, once`)
  await mkdir(folder, { recursive: true })
  const work = await mkdtemp(join(folder, `root-${suite}-`))
  try {
    // Node links against libatomic; the image has both.
    const packages = '--include=ca-certificates,libatomic1'
    const command = [debootstrap.path, '--variant=minbase', packages, suite, join(work, 'root')]
    // A mount namespace of its own: whatever it mounts is gone with it.
    await run('unshare', ['--mount', ...command], {
      env: { ...process.env, ...debootstrap.env },
      timeout: 600_000,
      maxBuffer: 64 * 1024 * 1024,
    })
    await rename(join(work, 'root'), kept)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
  return kept
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
