/** The thread that computes hashes: one job in, one answer out. A job that throws ends the thread; the pool replaces it. */
import { parentPort } from 'node:worker_threads'
import { hashNow, verifyNow } from './argon2.ts'
import type { HashAnswer, HashJob } from './hash-job.ts'

// A report about the process has a part for each thread, which would show the environment of all, whatever the main thread says.
process.report.excludeEnv = true

parentPort?.on('message', (job: HashJob) => {
  try {
    parentPort?.postMessage(answer(job))
  } finally {
    job.secret.fill(0)
  }
})

function answer(job: HashJob): HashAnswer {
  switch (job.kind) {
    case 'hash':
      return hashNow(job.secret, job.parameters)
    case 'verify':
      return verifyNow(job.stored, job.secret, job.parameters)
  }
}
