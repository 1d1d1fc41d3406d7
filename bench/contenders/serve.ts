/** What all contenders need: their program, a port, a process that ends with us, and to be waited for until they answer. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { type DebianProgram, type DebianRequest, provideDebianProgram } from '../../test/support/debian.ts'
import { quietPort } from '../../test/support/quiet-port.ts'
import { NotHere, type Running } from '../contender.ts'
import type { BenchDirectory } from '../directory.ts'
import { ask } from './ask.ts'

const run = promisify(execFile)

/** For a server's start, its first login included. */
const START_MS = 60_000

/** A server that has its configuration. */
export interface Prepared extends Pick<Running, 'protocol' | 'address' | 'request' | 'accepted' | 'refused'> {
  readonly command: readonly string[]
  /** On top of ours. */
  readonly env?: Readonly<Record<string, string>>
}

/** @throws {NotHere} with the command that installs it */
export async function provide(request: DebianRequest): Promise<DebianProgram> {
  try {
    return await provideDebianProgram(request)
  } catch (error) {
    throw new NotHere(error instanceof Error ? error.message : String(error), { cause: error })
  }
}

/** Plain LDAP on the address that slapd listens on: its name may lead to others first. */
export function ldapUrl({ slapd }: BenchDirectory): string {
  return `ldap://127.0.0.1:${slapd.ldapPort}`
}

/**
 * Starts a server on a free port, and resolves when it has said yes to the first of the people.
 *
 * @param prepare writes its configuration for this port, which is taken for TCP or UDP
 * @throws Error with the server's own words when it does not start
 */
export async function serve(
  directory: BenchDirectory,
  folder: string,
  prepare: (port: number) => Promise<Prepared>,
): Promise<Running> {
  await mkdir(folder, { recursive: true })
  const alone = await canHaveProcessesOfItsOwn()
  for (let attempt = 1; ; attempt += 1) {
    const { command, env, ...server } = await prepare(quietPort())
    const logFile = join(folder, 'said.log')
    const log = await open(logFile, 'w')
    // The kernel ends it with us, and with it all that it has started.
    const wrapped = [...(alone ? OF_ITS_OWN : []), ...command]
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...wrapped], {
      cwd: folder,
      env: { ...process.env, ...env },
      stdio: ['ignore', log.fd, log.fd],
    })
    await log.close()
    const stop = () => end(child, alone)
    const last = await firstYes(directory, server, child)
    if (last === server.accepted) return { ...server, pids: [child.pid ?? 0], stop }
    await stop()
    const said = await readFile(logFile, 'utf8')
    if (attempt === 10 || !/in use/i.test(said)) {
      throw new Error(
        `${command[0]} did not start. Its last answer: ${last}. It said:\n${said.slice(-4_000)}`,
      )
    }
  }
}

/** pid_namespaces(7): when the first of its processes ends, the kernel ends the others. Takes root. */
const OF_ITS_OWN = ['unshare', '--pid', '--fork', '--kill-child=KILL']

async function canHaveProcessesOfItsOwn(): Promise<boolean> {
  const [command = '', ...args] = [...OF_ITS_OWN, 'true']
  return run(command, args).then(
    () => true,
    () => false,
  )
}

/** What it answered last to a right login: yes, unless it has ended or the time is over. */
async function firstYes(
  { people: [person] }: BenchDirectory,
  server: Omit<Prepared, 'command'>,
  child: ChildProcess,
): Promise<string> {
  if (person === undefined) throw new Error('a contender needs somebody to log in')
  const deadline = performance.now() + START_MS
  let last = 'none'
  while (child.exitCode === null && child.signalCode === null && performance.now() < deadline) {
    const request = server.request(person.uid, person.password)
    last = await ask(server.protocol, server.address, request).catch(String)
    if (last === server.accepted) return last
    await pause(20)
  }
  return last
}

async function end(child: ChildProcess, alone: boolean): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  // Without a namespace it has to end its processes itself.
  child.kill(alone ? 'SIGKILL' : 'SIGTERM')
  const kill = setTimeout(() => child.kill('SIGKILL'), 2_000)
  await exited
  clearTimeout(kill)
}
