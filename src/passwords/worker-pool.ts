import { Worker } from 'node:worker_threads'
import { UnavailableError } from '../authentication/outcome.ts'

export interface WorkerPoolOptions<Job> {
  /** Jobs computed at once, each on a thread of its own. */
  readonly threads: number
  /** Jobs that may wait for a thread; one more is refused before anything is computed (security.md S33). */
  readonly queueLimit: number
  /** What of a job is moved to its thread and not copied: it is empty here afterwards. */
  readonly transfer?: (job: Job) => ArrayBuffer[]
}

export interface WorkerPool<Job, Answer> {
  /**
   * Gives the job to a thread, in the order of arrival.
   *
   * @param signal a job still waiting when it aborts is dropped
   * @throws UnavailableError (phase `hash`) when the queue is full, the signal aborted, the thread died or the pool is closed
   */
  run(job: Job, signal?: AbortSignal): Promise<Answer>
  /** Ends every thread; jobs under way or waiting are rejected. May be called again. */
  close(): Promise<void>
}

interface Task<Job, Answer> {
  readonly job: Job
  readonly signal: AbortSignal | undefined
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: UnavailableError) => void
}

/**
 * Threads that answer one message per message, behind a bounded queue. A thread starts when a job needs it and
 * stays; one that dies takes only its own job along and is replaced by the next job. Idle threads do not keep the process alive.
 */
export function createWorkerPool<Job, Answer>(
  script: URL,
  { threads, queueLimit, transfer = () => [] }: WorkerPoolOptions<Job>,
): WorkerPool<Job, Answer> {
  const idle: Worker[] = []
  const busy = new Map<Worker, Task<Job, Answer>>()
  let waiting: Task<Job, Answer>[] = []
  let closed = false

  function run(job: Job, signal?: AbortSignal): Promise<Answer> {
    if (closed) return Promise.reject(unavailable('password hashing has been shut down'))
    if (waiting.length >= queueLimit) dropAbandoned()
    if (busy.size >= threads && waiting.length >= queueLimit) {
      return Promise.reject(unavailable(`${queueLimit} password hashes are waiting already`))
    }
    return new Promise((resolve, reject) => {
      waiting.push({ job, signal, resolve, reject })
      dispatch()
    })
  }

  function dispatch(): void {
    while (busy.size < threads) {
      const task = waiting.shift()
      if (task === undefined) return
      if (task.signal?.aborted) task.reject(abandoned())
      else hand(task)
    }
  }

  function hand(task: Task<Job, Answer>): void {
    let worker: Worker
    try {
      worker = idle.pop() ?? start()
    } catch (error) {
      task.reject(unavailable('no thread could be started for the password hash', error))
      return
    }
    busy.set(worker, task)
    worker.ref()
    worker.postMessage(task.job, transfer(task.job))
  }

  function start(): Worker {
    // No environment and no flags of this process: a hash needs neither, and the environment may hold secrets.
    const worker = new Worker(script, { name: 'password-hash', env: {}, execArgv: [] })
    worker.on('message', (answer: Answer) => {
      // It has been rejected, and a thread that is being ended must keep the process alive until it has.
      if (closed) return
      const task = busy.get(worker)
      busy.delete(worker)
      idle.push(worker)
      worker.unref()
      task?.resolve(answer)
      dispatch()
    })
    worker.on('error', error => lose(worker, error))
    worker.on('exit', () => lose(worker))
    return worker
  }

  function lose(worker: Worker, cause?: unknown): void {
    const place = idle.indexOf(worker)
    if (place >= 0) idle.splice(place, 1)
    const task = busy.get(worker)
    busy.delete(worker)
    task?.reject(unavailable('the thread of the password hash died', cause))
    dispatch()
  }

  function dropAbandoned(): void {
    for (const task of waiting) if (task.signal?.aborted) task.reject(abandoned())
    waiting = waiting.filter(({ signal }) => !signal?.aborted)
  }

  async function close(): Promise<void> {
    closed = true
    const workers = [...idle, ...busy.keys()]
    for (const task of [...waiting, ...busy.values()])
      task.reject(unavailable('password hashing is shutting down'))
    waiting = []
    await Promise.all(workers.map(worker => worker.terminate()))
  }

  return { run, close }
}

function abandoned(): UnavailableError {
  return unavailable('the time was up before a thread was free for the password hash')
}

function unavailable(cause: string, error?: unknown): UnavailableError {
  return new UnavailableError(cause, 'hash', error === undefined ? undefined : { cause: error })
}
