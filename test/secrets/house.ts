import { randomUUID } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { runCommand } from '../support/daemon.ts'
import type { TestScope } from '../support/slapd.ts'
import { type Canary, findCanaries, newCanary } from './canary.ts'
import { startWatchedDaemon, type WatchedDaemon } from './watched-daemon.ts'

/** A folder with a configuration and all that the daemon and the commands leave in it; and a list of the secrets that are about. */
export interface House {
  readonly cwd: string
  readonly config: string
  /** A new secret, which from now on must be nowhere. */
  canary(name: string): Canary
  /** One that something else has made. */
  add(canary: Canary): void
  /** A file that the test writes and that may hold secrets: a configuration, a password file. */
  input(name: string, content: string): string
  /** A file of the daemon that is there to hold one: the admin token. */
  allow(name: string): void
  /** Runs a command; what it prints is kept, unless it may show a secret. */
  run(args: readonly string[], input?: string): Promise<{ code: number; stdout: string; stderr: string }>
  start(options?: Partial<Parameters<typeof startWatchedDaemon>[1]>): Promise<WatchedDaemon>
  /** More that is to be looked through, such as a dump of what a store holds. */
  look(where: string, content: string | Buffer): void
  /** Where which secret was found. Nothing is what is hoped for. */
  search(): string[]
  /** Asserts it, and that there was something to look through. */
  holds(t: Test): void
}

export function openHouse(t: TestScope): House {
  const cwd = mkdtempSync(join(tmpdir(), 'gatehouse-secrets-'))
  t.teardown(() => rmSync(cwd, { recursive: true, force: true }))
  mkdirSync(join(cwd, 'data'))
  const canaries: Canary[] = []
  const allowed = new Set<string>()
  const daemons: WatchedDaemon[] = []
  const seen: { readonly where: string; readonly content: string | Buffer }[] = []

  const config = join(cwd, 'gatehouse.yaml')

  function input(name: string, content: string): string {
    const file = join(cwd, name)
    writeFileSync(file, content, { mode: 0o600 })
    allowed.add(name)
    return file
  }

  /** Also what a crash or a report left in the working folder. */
  function files(): readonly { readonly where: string; readonly content: Buffer }[] {
    return readdirSync(cwd, { recursive: true, encoding: 'utf8' })
      .filter(name => !allowed.has(name) && statSync(join(cwd, name)).isFile())
      .map(name => ({ where: name, content: readFileSync(join(cwd, name)) }))
  }

  function search(): string[] {
    const told = daemons.flatMap((daemon, index) => [
      { where: `the output of daemon ${index + 1}`, content: daemon.output() },
      { where: `the replies of daemon ${index + 1}`, content: daemon.replies() },
      ...processOf(daemon),
    ])
    return [...told, ...seen, ...files()].flatMap(({ where, content }) =>
      findCanaries(content, canaries).map(found => `${where}: ${found}`),
    )
  }

  return {
    cwd,
    config,
    canary(name) {
      const canary = newCanary(name)
      canaries.push(canary)
      return canary
    },
    add: canary => canaries.push(canary),
    input,
    allow: name => allowed.add(name),
    async run(args, text = '') {
      const ran = await runCommand(args, { cwd, input: text })
      seen.push({ where: `gatehouse ${args.join(' ')}`, content: ran.stdout + ran.stderr })
      return ran
    },
    async start(options = {}) {
      const daemon = await startWatchedDaemon(t, { config, cwd, ...options })
      daemons.push(daemon)
      return daemon
    },
    look: (where, content) => seen.push({ where, content }),
    search,
    holds(t) {
      t.ok(canaries.length > 0, `${canaries.length} secrets were about`)
      t.ok(seen.length + daemons.length > 0, 'and something was said')
      t.same(search(), [], 'none of them is anywhere')
      // What is found when it is there, is not there: the same search over the same places, and one more file.
      const planted = join(cwd, `data/planted-${randomUUID()}`)
      for (const { core, name } of canaries) {
        writeFileSync(planted, `some text ${core} and more`)
        t.ok(
          search().some(found => found.includes(`${name} as plain`)),
          `${name} would have been found`,
        )
      }
      rmSync(planted)
    },
  }
}

/** What others of this machine see of a process, while it lives. Its first environment is the caller's. */
function processOf({ process }: WatchedDaemon): readonly { where: string; content: Buffer }[] {
  if (process.exitCode !== null || process.signalCode !== null) return []
  return ['cmdline', 'comm'].map(name => ({
    where: `/proc/${process.pid}/${name}`,
    content: readFileSync(`/proc/${process.pid}/${name}`),
  }))
}
