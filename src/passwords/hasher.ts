import { availableParallelism } from 'node:os'
import type { Secret } from '../authentication/secret.ts'
import { DEFAULT_PARAMETERS, type HashParameters, type Verification } from './argon2.ts'
import type { HashAnswer, HashJob } from './hash-job.ts'
import { createWorkerPool, type WorkerPool } from './worker-pool.ts'

export interface PasswordHasherOptions {
  /** Hashes computed at once; one per core unless said. The memory taken is this times the memory of one hash. */
  readonly threads?: number
  /** Hashes that may wait; 128 per thread unless said, about two seconds' worth, so that a wait stays within a deadline. */
  readonly queueLimit?: number
  /** argon2id at 19 MiB, two passes and one lane unless said. */
  readonly parameters?: HashParameters
}

/** Every method rejects with UnavailableError (phase `hash`) when a hash cannot be computed now. */
export interface PasswordHasher {
  /**
   * A new argon2id hash as a PHC string.
   *
   * @throws RangeError for a secret with lone surrogates: it has no UTF-8 form of its own
   */
  hash(secret: Secret): Promise<string>
  /**
   * Exactly one job of the cost of one hash, whatever is stored. Nothing stored, or something that is no usable argon2id
   * hash, never verifies.
   *
   * @param signal while the job waits for a thread, aborting drops it
   */
  verify(stored: string | undefined, secret: Secret, signal?: AbortSignal): Promise<Verification>
  /** Ends the threads. May be called again. */
  close(): Promise<void>
}

/** Hashes passwords on threads of their own, so that neither the event loop nor libuv's pool waits for one (S33). */
export function createPasswordHasher(options: PasswordHasherOptions = {}): PasswordHasher {
  const { threads = availableParallelism(), parameters = DEFAULT_PARAMETERS } = options
  const { queueLimit = 128 * threads } = options
  const script = import.meta.url.endsWith('.ts') ? './hash-worker.ts' : './hash-worker.js'
  const pool: WorkerPool<HashJob, HashAnswer> = createWorkerPool(new URL(script, import.meta.url), {
    threads,
    queueLimit,
    transfer: ({ secret }) => [secret.buffer],
  })
  const encoder = new TextEncoder()

  // The worker answers each kind of job in its own kind (hash-job.ts), which the casts below rely on.
  async function hash(secret: Secret): Promise<string> {
    const plain = secret.reveal()
    if (!plain.isWellFormed()) throw new RangeError('a password must be well-formed Unicode')
    return (await run({ kind: 'hash', secret: encoder.encode(plain), parameters })) as string
  }

  async function verify(
    stored: string | undefined,
    secret: Secret,
    signal?: AbortSignal,
  ): Promise<Verification> {
    const plain = secret.reveal()
    // In UTF-8 every lone surrogate is U+FFFD, so such a secret would share a hash with others: it gets the dummy's.
    const own = plain.isWellFormed() ? stored : undefined
    const job: HashJob = { kind: 'verify', stored: own, secret: encoder.encode(plain), parameters }
    return (await run(job, signal)) as Verification
  }

  async function run(job: HashJob, signal?: AbortSignal): Promise<HashAnswer> {
    try {
      return await pool.run(job, signal)
    } finally {
      // Not if a thread has taken them; it clears them then.
      if (!job.secret.buffer.detached) job.secret.fill(0)
    }
  }

  return { hash, verify, close: pool.close }
}
