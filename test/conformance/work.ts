/** What this process is made to do: the hashes that its threads are given, and the questions that SQLite is asked. */
import { EventEmitter, once } from 'node:events'
import { Worker } from 'node:worker_threads'
import Sqlite from 'better-sqlite3'
import type { Test } from 'tap'
import type { HashJob } from '../../src/passwords/hash-job.ts'
import { isHashJob } from './hash-jobs.ts'

export interface Work {
  /** Of each job that was handed to a hashing thread, its kind. */
  readonly hashes: HashJob['kind'][]
  /** SQL about users, as it was run. */
  readonly queries: string[]
  /** Resolves when SQL that matches has been run, from now on. */
  ran(sql: RegExp): Promise<void>
  /** Begins to count anew. */
  forget(): void
}

type Run = (this: { readonly source: string }, ...values: unknown[]) => unknown

/** Counts until the test ends. */
export function watchWork(t: Test): Work {
  const [hashes, queries]: [HashJob['kind'][], string[]] = [[], []]
  const events = new EventEmitter()

  const { postMessage } = Worker.prototype
  Worker.prototype.postMessage = function (message: unknown, ...rest) {
    if (isHashJob(message)) hashes.push(message.kind)
    return postMessage.call(this, message, ...rest)
  }
  t.teardown(() => {
    Worker.prototype.postMessage = postMessage
  })

  const memory = new Sqlite(':memory:')
  const statement = Object.getPrototypeOf(memory.prepare('SELECT 1')) as Record<string, Run>
  memory.close()
  for (const name of ['get', 'all', 'run', 'iterate']) {
    const original = statement[name] as Run
    statement[name] = function (...values) {
      const answer = original.apply(this, values)
      if (/\busers\b|\blogin_names\b/.test(this.source)) {
        queries.push(this.source)
        events.emit('ran', this.source)
      }
      return answer
    }
    t.teardown(() => {
      statement[name] = original
    })
  }

  return {
    hashes,
    queries,
    async ran(sql) {
      for (;;) {
        const [source] = await once(events, 'ran', { signal: AbortSignal.timeout(20_000) })
        if (sql.test(source)) return
      }
    },
    forget() {
      hashes.length = 0
      queries.length = 0
    },
  }
}
