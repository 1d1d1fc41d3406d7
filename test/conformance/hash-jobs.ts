/** Counts the password hashes that this process computes, wherever in it they are asked for: what takes the time of a login. */
import { Worker } from 'node:worker_threads'
import type { Test } from 'tap'
import type { HashJob } from '../../src/passwords/hash-job.ts'

export interface HashJobs {
  /** What was given to a hash thread while `work` ran. */
  during(work: () => Promise<unknown>): Promise<readonly SeenHashJob[]>
}

/** A job with its secret as text: the octets themselves are moved to the thread. */
export type SeenHashJob = Pick<HashJob, 'kind' | 'parameters'> & { readonly secret: string }

/** Listens until the test ends; one at a time. */
export function watchHashJobs(t: Test): HashJobs {
  const jobs: SeenHashJob[] = []
  const post = Worker.prototype.postMessage
  Worker.prototype.postMessage = function (this: Worker, ...message) {
    const [job] = message
    if (isHashJob(job)) {
      const { kind, parameters, secret } = job
      jobs.push({ kind, parameters, secret: Buffer.from(secret).toString() })
    }
    post.apply(this, message)
  }
  t.teardown(() => {
    Worker.prototype.postMessage = post
  })
  return {
    async during(work) {
      const before = jobs.length
      await work()
      return jobs.slice(before)
    },
  }
}

/** Other threads are given other things. */
export function isHashJob(message: unknown): message is HashJob {
  return typeof message === 'object' && message !== null && 'kind' in message && 'secret' in message
}
