import { execFile } from 'node:child_process'
import { cp, mkdir, readFile, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { cacheFolder } from '../../test/support/debian.ts'
import { makeBaseImage } from './base-image.ts'
import { environmentOf, type Instruction, inherited, type Stage, wordsOf } from './dockerfile.ts'

const run = promisify(execFile)
const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

export interface Image {
  /** Its file system. */
  readonly root: string
  readonly user: { readonly uid: number; readonly gid: number }
  readonly workingDirectory: string
  readonly environment: Readonly<Record<string, string>>
  readonly entrypoint: readonly string[]
  readonly command: readonly string[]
  readonly healthcheck: readonly string[]
  readonly volumes: readonly string[]
}

/**
 * Does what the Dockerfile's FROM, WORKDIR, COPY and RUN say, each stage in a root of its own; the last one is the image.
 *
 * @param context the checkout; .dockerignore holds
 * @param work an empty folder
 * @throws Error on an instruction it does not know: nothing is passed over in silence
 */
export async function buildImage(
  stages: readonly Stage[],
  context: string,
  work: string,
  say: (line: string) => void,
): Promise<Image> {
  const filtered = join(work, 'context')
  await copyContext(context, filtered)
  const roots = new Map<string, string>()
  for (const stage of stages) {
    const root = join(work, stage.name)
    say(`FROM ${stage.from} AS ${stage.name}`)
    const parent = roots.get(stage.from)
    if (parent === undefined) await makeBaseImage(stage.from, root, say)
    else await run('cp', ['-a', parent, root])
    roots.set(stage.name, root)
    await buildStage(stage, stages, { root, roots, context: filtered, say })
  }
  const stage = stages.at(-1)
  if (stage === undefined) throw new Error('the Dockerfile has no stage')
  return describe(stage, stages, join(work, stage.name))
}

interface Building {
  readonly root: string
  readonly roots: ReadonlyMap<string, string>
  readonly context: string
  readonly say: (line: string) => void
}

async function buildStage(stage: Stage, stages: readonly Stage[], building: Building): Promise<void> {
  const { root, roots, context, say } = building
  let directory = inherited(stages, { ...stage, instructions: [] }, 'WORKDIR').at(-1)?.rest ?? '/'
  for (const instruction of stage.instructions) {
    const { keyword, flags, rest } = instruction
    switch (keyword) {
      case 'WORKDIR':
        directory = resolve(directory, rest)
        await mkdir(join(root, directory), { recursive: true })
        break
      case 'COPY': {
        say(`COPY ${rest}`)
        const source = flags.from === undefined ? context : roots.get(flags.from)
        if (source === undefined) throw new Error(`COPY from an unknown stage: ${flags.from}`)
        await copy(source, root, directory, wordsOf(rest))
        break
      }
      case 'RUN':
        say(`RUN ${rest}`)
        await runStep(instruction, { root, directory, environment: environmentOf(stages, stage) })
        break
      case 'USER':
      case 'ENV':
      case 'EXPOSE':
      case 'VOLUME':
      case 'HEALTHCHECK':
      case 'ENTRYPOINT':
      case 'CMD':
        break
      default:
        throw new Error(`the proof does not know the instruction ${keyword}`)
    }
  }
}

/** Files and the contents of folders; they belong to root, as Docker has it. */
async function copy(
  source: string,
  root: string,
  directory: string,
  words: readonly string[],
): Promise<void> {
  const target = words.at(-1) ?? '.'
  const inside = join(root, resolve(directory, target))
  for (const word of words.slice(0, -1)) {
    const from = join(source, resolve('/', word))
    const command = `set -e
      if [ -d "$1" ]; then mkdir -p "$2"; cp -r --preserve=mode,timestamps,links "$1/." "$2/"
      elif [ "\${3%/}" != "$3" ]; then mkdir -p "$2"; cp --preserve=mode,timestamps "$1" "$2/"
      else mkdir -p "$(dirname "$2")"; cp --preserve=mode,timestamps "$1" "$2"; fi`
    await run('sh', ['-c', command, 'copy', from, inside, target])
  }
}

/** What the engine would be sent. */
async function copyContext(checkout: string, target: string): Promise<void> {
  const [everything, ...exceptions] = (await readFile(join(checkout, '.dockerignore'), 'utf8'))
    .split('\n')
    .filter(line => line !== '' && !line.startsWith('#'))
  if (everything !== '*' || exceptions.some(line => !/^![\w./-]+$/.test(line))) {
    throw new Error('.dockerignore is no longer "*" and plain exceptions: teach the proof to read it')
  }
  for (const exception of exceptions) {
    const name = exception.slice(1)
    await cp(join(checkout, name), join(target, name), { recursive: true })
  }
}

interface Step {
  readonly root: string
  readonly directory: string
  readonly environment: Readonly<Record<string, string>>
}

const stepTimeoutMs = 300_000

async function runStep({ flags, rest }: Instruction, { root, directory, environment }: Step): Promise<void> {
  const mounts = [
    bind('/etc/resolv.conf', join(root, 'etc', 'resolv.conf')),
    bind('/etc/hosts', join(root, 'etc', 'hosts')),
    `mount --rbind /dev "${root}/dev"`,
    `mount -t proc proc "${root}/proc"`,
  ]
  for (const [flag, value] of Object.entries(flags)) {
    const [, target] = /^type=cache,target=([^,]+)$/.exec(value) ?? []
    if (flag !== 'mount' || target === undefined)
      throw new Error(`the proof does not know RUN --${flag}=${value}`)
    const kept = join(cacheFolder(), 'build-cache', target.replaceAll('/', '_'))
    await mkdir(kept, { recursive: true })
    await mkdir(join(root, target), { recursive: true })
    mounts.push(`mount --bind "${kept}" "${root}${target}"`)
  }
  const network = await networkSettings()
  if (network.certificates !== undefined) {
    mounts.push(bind(network.certificates, join(root, 'run', 'build-certificates.pem')))
  }
  const variables = { PATH: path, HOME: '/root', ...environment, ...network.environment }
  const script = `set -e
    ${mounts.join('\n')}
    exec chroot "${root}" env -i -C "${directory}" "$@" /bin/sh -c "$RUN_STEP"`
  const assignments = Object.entries(variables).map(([name, value]) => `${name}=${value}`)
  const namespaces = ['unshare', '--mount', '--pid', '--fork', '--kill-child=KILL']
  try {
    await run('setpriv', ['--pdeathsig', 'KILL', ...namespaces, 'sh', '-c', script, 'step', ...assignments], {
      env: { ...process.env, RUN_STEP: rest },
      timeout: stepTimeoutMs,
      maxBuffer: 64 * 1024 * 1024,
    })
  } catch (error) {
    const said =
      error instanceof Error && 'stdout' in error && 'stderr' in error
        ? `${error.stdout}${error.stderr}`
        : error
    throw new Error(`this step failed: RUN ${rest}\n${said}`, { cause: error })
  }
  // What only the mounts needed.
  await rm(join(root, 'run', 'build-certificates.pem'), { force: true })
}

function bind(source: string, target: string): string {
  return `touch "${target}" && mount --bind "${source}" "${target}"`
}

/** How to reach a registry is the machine's own business, as it is with \`docker build\`. */
async function networkSettings(): Promise<{ environment: Record<string, string>; certificates?: string }> {
  const { stdout: registry } = await run('npm', ['config', 'get', 'registry'])
  const certificates = process.env.NODE_EXTRA_CA_CERTS
  const proxies = ['http_proxy', 'https_proxy', 'no_proxy'].flatMap(name => {
    const value = process.env[name]
    return value === undefined ? [] : [[name, value] as const]
  })
  return {
    environment: {
      ...Object.fromEntries(proxies),
      npm_config_registry: registry.trim(),
      ...(certificates && { NODE_EXTRA_CA_CERTS: '/run/build-certificates.pem' }),
    },
    ...(certificates && { certificates }),
  }
}

function describe(stage: Stage, stages: readonly Stage[], root: string): Image {
  const last = (keyword: string) => inherited(stages, stage, keyword).at(-1)?.rest
  const user = last('USER')
  const [, uid, gid] = /^(\d+):(\d+)$/.exec(user ?? '') ?? []
  if (uid === undefined || gid === undefined) throw new Error(`USER is not two numbers: ${user}`)
  const healthcheck = inherited(stages, stage, 'HEALTHCHECK').at(-1)
  return {
    root,
    user: { uid: Number(uid), gid: Number(gid) },
    workingDirectory: last('WORKDIR') ?? '/',
    environment: { PATH: path, ...environmentOf(stages, stage) },
    entrypoint: wordsOf(last('ENTRYPOINT') ?? '[]'),
    command: wordsOf(last('CMD') ?? '[]'),
    healthcheck: wordsOf(healthcheck?.rest.replace(/^CMD\s+/, '') ?? '[]'),
    volumes: inherited(stages, stage, 'VOLUME').flatMap(({ rest }) => wordsOf(rest)),
  }
}
