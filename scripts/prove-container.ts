/**
 * Proves the container where there is no container engine: does what the Dockerfile says in a Debian made by
 * debootstrap, runs the outcome with the kernel's own means as compose.yaml wants it run (read-only, without
 * capabilities, as its user, as process 1, in its own namespaces), and looks whether the promises hold.
 * Needs root on a Debian. What it cannot prove it says at the end.
 */

import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { chown, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { parse } from 'yaml'
import { buildImage } from './container/build.ts'
import { parseDockerfile } from './container/dockerfile.ts'
import { type Container, type ContainerOptions, runContainer, runToEnd } from './container/run.ts'

const notProven = `Not proven here:
- that the registry has the base image under that name, and that its content is what this stand-in assumes
- that Docker, BuildKit, Compose or Kubernetes read these files as this script does
- the limits on memory, processors and processes, the log driver, restarts, the published port
- the engine's seccomp and AppArmor profiles; other processors than this machine's`

const run = promisify(execFile)
let failures = 0
const say = (line: string) => process.stdout.write(`${line}\n`)

function check(promise: string, holds: boolean, seen = ''): void {
  if (!holds) failures += 1
  say(`${holds ? 'ok    ' : 'FAILED'} ${promise}${holds || seen === '' ? '' : `\n       ${seen.trim()}`}`)
}

const checkout = fileURLToPath(new URL('..', import.meta.url))
if (process.getuid?.() !== 0) {
  process.stderr.write('prove-container needs root: it mounts, and changes into a root of its own\n')
  process.exit(2)
}
const work = await mkdtemp(join(tmpdir(), 'gatehouse-container-'))
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    rmSync(work, { recursive: true, force: true })
    process.exit(1)
  })
}
try {
  await prove()
} catch (error) {
  check('the proof runs to its end', false, error instanceof Error ? error.message : String(error))
} finally {
  await rm(work, { recursive: true, force: true })
}
say(`\n${notProven}\n\n${failures === 0 ? 'Everything else holds.' : `${failures} promises do not hold.`}`)
process.exitCode = failures === 0 ? 0 : 1

async function prove(): Promise<void> {
  const stages = parseDockerfile(await readFile(join(checkout, 'Dockerfile'), 'utf8'))
  const image = await buildImage(stages, checkout, join(work), line => say(`       ${line}`))

  const { stdout: listing } = await run('find', ['.', '-xdev'], {
    cwd: image.root,
    maxBuffer: 64 * 1024 * 1024,
  })
  const files = listing.split('\n').map(name => name.slice(1))
  const left = (pattern: RegExp) =>
    files
      .filter(name => pattern.test(name))
      .slice(0, 5)
      .join(' ')
  check(
    'no package manager of Node is left',
    left(/\/(npm|npx|yarn|corepack)$/) === '',
    left(/\/(npm|npx|yarn|corepack)$/),
  )
  const development = /node_modules\/(typescript|tap|@tapjs|@biomejs|fast-check|@types|node)(\/|$)/
  check('no development dependency is left', left(development) === '', left(development))
  const stray = /^\/opt\/gatehouse\/(test|fixtures|scripts|src|\.git)(\/|$)/
  check('no tests, sources, history', left(stray) === '', left(stray))

  // As compose.yaml has it.
  const service = parse(await readFile(join(checkout, 'compose.yaml'), 'utf8'))
  const data = join(work, 'data')
  await mkdir(data, { mode: 0o700 })
  await chownLike(join(image.root, '/var/lib/gatehouse'), data)
  const key = randomBytes(24).toString('base64url')
  const config = join(work, 'gatehouse.yaml')
  await writeFile(config, service.configs.gatehouse.content.replaceAll('$$', '$'), { mode: 0o444 })
  const secret = join(work, 'wiki_key_sha256')
  await writeFile(secret, `${createHash('sha256').update(key).digest('hex')}\n`, { mode: 0o400 })
  await chownLike(join(image.root, '/var/lib/gatehouse'), secret)
  const [tmpfsPath, tmpfsOptions] = service.services.gatehouse.tmpfs[0].split(':')
  const options: ContainerOptions = {
    image,
    volumes: new Map([[data, '/var/lib/gatehouse']]),
    files: new Map([
      [config, service.services.gatehouse.configs[0].target],
      [secret, `/run/secrets/${service.services.gatehouse.secrets[0]}`],
    ]),
    tmpfs: new Map([[tmpfsPath, tmpfsOptions]]),
  }

  const unhealthy = await runToEnd({
    ...options,
    image: { ...image, entrypoint: image.healthcheck, command: [] },
  })
  check('the health check fails without the daemon', unhealthy.code === 1, unhealthy.output)
  const checked = await runToEnd({ ...options, command: ['check'] })
  check(
    'the configuration of compose.yaml passes "check", its secret from /run/secrets',
    checked.code === 0,
    checked.output,
  )
  const password = 'Only-4-this-proof'
  const adding = ['user', 'add', 'alice', '--email', 'alice@example.org', '--password-stdin']
  const added = await runToEnd({ ...options, command: adding, input: `${password}\n` })
  check('a user is added in a container of its own', added.code === 0, added.output)

  const container = await runContainer(options)
  const healthy = await becomesHealthy(container, image.healthcheck)
  check('the daemon starts, and its health check passes', healthy, container.output())
  if (!healthy) return
  await proveRunning(container, key, password)

  const began = performance.now()
  const ended = await container.signal('SIGTERM')
  const tookMs = Math.round(performance.now() - began)
  check(
    `SIGTERM to process 1 ends it with 0 (it took ${tookMs} ms)`,
    ended.code === 0 && tookMs < 10_000,
    ended.output,
  )
  check('the password is not in its output', !ended.output.includes(password))
  const kept = await readdir(data)
  check(`what it keeps is in its volume: ${kept.join(', ')}`, kept.includes('gatehouse.db'))
}

async function proveRunning(container: Container, key: string, password: string): Promise<void> {
  const status = await readFile(`/proc/${container.pid}/status`, 'utf8')
  const value = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1] ?? ''
  check('it is process 1 of its namespace', value('NSpid').endsWith('\t1'), value('NSpid'))
  check('it is not root', value('Uid') === '1000\t1000\t1000\t1000', value('Uid'))
  const capabilities = ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'].map(value)
  check(
    'it has no capabilities',
    capabilities.every(set => /^0+$/.test(set)),
    capabilities.join(' '),
  )
  check('it can gain no privileges', value('NoNewPrivs') === '1')

  for (const path of [
    '/',
    '/etc/gatehouse',
    '/opt/gatehouse/dist',
    '/usr/local/bin',
    '/run/secrets',
    '/dev',
  ]) {
    // As root, so that it is the mount that refuses and not the permissions.
    const tried = await container.exec(['touch', `${path}/written`], 'root')
    check(`nobody can write to ${path}`, tried.code !== 0 && /Read-only/.test(tried.output), tried.output)
  }
  const changed = await container.exec(['sh', '-c', 'echo x >> "$GATEHOUSE_CONFIG"'], 'root')
  check(
    'nobody can change the configuration',
    changed.code !== 0 && /Read-only/.test(changed.output),
    changed.output,
  )
  for (const path of ['/var/lib/gatehouse', '/tmp']) {
    const tried = await container.exec(['sh', '-c', `touch ${path}/written && rm ${path}/written`])
    check(`it can write to ${path}`, tried.code === 0, tried.output)
  }
  const executed = await container.exec(['sh', '-c', 'cp /bin/true /tmp/true && /tmp/true'])
  check('nothing in /tmp can be executed', executed.code === 126, executed.output)

  const livez = await container.fetchFromInside(
    "process.stdout.write(String((await fetch('http://127.0.0.1:8470/livez')).status))",
  )
  check('GET /livez answers 200', livez === '200', livez)
  const logins = [
    { name: 'alice', password, key, expected: '200' },
    { name: 'alice@example.org', password, key, expected: '200' },
    { name: 'alice', password: 'wrong', key, expected: '401' },
    { name: 'alice', password, key: 'gh_wrong', expected: '401' },
  ]
  for (const login of logins) {
    const status = await container.fetchFromInside(`
      const { status } = await fetch('http://127.0.0.1:8470/authenticate', {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: 'Bearer ${login.key}' },
        body: JSON.stringify({ username: '${login.name}', password: '${login.password}' }),
      })
      process.stdout.write(String(status))`)
    const how = `${login.password === password ? 'right' : 'wrong'} password, ${login.key === key ? 'right' : 'wrong'} key`
    check(
      `POST /authenticate for ${login.name}, ${how}: ${login.expected}`,
      status === login.expected,
      status,
    )
  }
  const listed = await container.exec(['gatehouse', 'user', 'list'])
  check('"gatehouse" is a command in it', listed.code === 0 && listed.output.includes('alice'), listed.output)
}

async function becomesHealthy(container: Container, healthcheck: readonly string[]): Promise<boolean> {
  const giveUp = performance.now() + 20_000
  while (performance.now() < giveUp) {
    const ended = await container.exec(healthcheck).catch(() => undefined)
    if (ended?.code === 0) return true
    await pause(100)
  }
  return false
}

async function chownLike(model: string, path: string): Promise<void> {
  const { uid, gid } = await stat(model)
  await chown(path, uid, gid)
}
