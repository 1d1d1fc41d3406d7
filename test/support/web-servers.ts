import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type DebianProgram, provideDebianProgram } from './debian.ts'
import { quietPort } from './quiet-port.ts'
import type { TestScope } from './slapd.ts'

/** Reverse proxies in front of an app that has no login of its own, as docs/forward-auth.md sets them up. */

export interface ReverseProxy {
  readonly url: string
}

/** What the configurations of the page name, and what takes its place. */
export interface ReverseProxyOptions {
  /** Where the daemon's public listener is. */
  readonly gatehouse: string
  readonly app: string
  /** The configuration as the page has it. */
  readonly config: string
}

export function provideNginx(): Promise<DebianProgram> {
  return provideDebianProgram({ name: 'nginx', program: '/usr/sbin/nginx', probe: ['-v'] })
}

export function provideCaddy(): Promise<DebianProgram> {
  return provideDebianProgram({ name: 'caddy', program: '/usr/bin/caddy', probe: ['version'] })
}

/** Gone when the test ends. */
export function startNginx(t: TestScope, options: ReverseProxyOptions): Promise<ReverseProxy> {
  return startProxy(t, options, async folder => {
    const file = join(folder, 'nginx.conf')
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    return {
      program: await provideNginx(),
      file,
      args: ['-p', folder, '-e', 'stderr', '-c', file],
      // One process, which the kernel ends with us.
      wrap: config => `
daemon off;
master_process off;
pid ${join(folder, 'nginx.pid')};
error_log stderr warn;
events {}
http {
    access_log off;
    ${temporary.map(name => `${name}_temp_path ${join(folder, name)};`).join('\n    ')}
${config.replaceAll('/run/gatehouse-cache', join(folder, 'cache'))}
}
`,
    }
  })
}

/** Gone when the test ends. */
export function startCaddy(t: TestScope, options: ReverseProxyOptions): Promise<ReverseProxy> {
  return startProxy(t, options, async folder => {
    const file = join(folder, 'Caddyfile')
    return {
      program: await provideCaddy(),
      file,
      args: ['run', '--config', file, '--adapter', 'caddyfile'],
      wrap: config => `{\n\tadmin off\n}\n${config}`,
    }
  })
}

/** The code blocks of the page in this language, in their order. */
export async function configurationsOfThePage(language: 'nginx' | 'caddyfile'): Promise<string[]> {
  const page = await readFile(resolve(import.meta.dirname, '../../docs/forward-auth.md'), 'utf8')
  return Array.from(
    page.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms')),
    match => match[1] ?? '',
  )
}

/** An app that believes its proxy: it answers 200, and tells the test what it was sent. */
export async function startNaiveApp(t: TestScope): Promise<{
  readonly url: string
  readonly seen: { method: string; headers: IncomingHttpHeaders; body: string }[]
}> {
  const seen: { method: string; headers: IncomingHttpHeaders; body: string }[] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    seen.push({ method: request.method ?? '', headers: request.headers, body })
    response.end('the app')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen }
}

interface Plan {
  readonly program: DebianProgram
  readonly file: string
  readonly args: readonly string[]
  wrap(config: string): string
}

async function startProxy(
  t: TestScope,
  { gatehouse, app, config }: ReverseProxyOptions,
  makePlan: (folder: string) => Promise<Plan>,
): Promise<ReverseProxy> {
  const folder = await mkdtemp(join(tmpdir(), 'gatehouse-proxy-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const { program, file, args, wrap } = await makePlan(folder)
  for (let attempt = 1; ; attempt += 1) {
    const port = quietPort()
    const text = config
      .replaceAll('127.0.0.1:8080', `127.0.0.1:${port}`)
      .replaceAll('127.0.0.1:8470', new URL(gatehouse).host)
      .replaceAll('127.0.0.1:3000', new URL(app).host)
    await writeFile(file, wrap(text))
    const logFile = join(folder, 'log')
    const log = await open(logFile, 'w')
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', program.path, ...args], {
      env: { ...process.env, ...program.env, HOME: folder, XDG_CONFIG_HOME: folder, XDG_DATA_HOME: folder },
      stdio: ['ignore', log.fd, log.fd],
    })
    await log.close()
    if (await answers(port, child)) {
      t.teardown(() => end(child))
      return { url: `http://127.0.0.1:${port}` }
    }
    const said = await readFile(logFile, 'utf8')
    if (attempt === 10 || !/address already in use/i.test(said)) throw new Error(`it did not start:\n${said}`)
  }
}

/** False if it ends before it answers. */
async function answers(port: number, child: ChildProcess): Promise<boolean> {
  while (child.exitCode === null && child.signalCode === null) {
    const connected = await new Promise<boolean>(resolve => {
      const socket = connect(port, '127.0.0.1')
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
      socket.once('connect', () => socket.destroy())
    })
    if (connected) return child.exitCode === null
    await pause(5)
  }
  return false
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}
