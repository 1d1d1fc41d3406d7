/** A process that closes its hasher while an answer of a thread waits to be taken: see hasher.test.ts. */
import { Secret } from '../../src/authentication/secret.ts'
import { createPasswordHasher } from '../../src/passwords/hasher.ts'

const passwords = createPasswordHasher({ threads: 1 })
const hash = passwords.hash(new Secret('a password of some length')).catch((error: Error) => error.message)
// Nothing is taken from the thread meanwhile, and a hash takes a tenth of this.
Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_000)
await passwords.close()
process.stdout.write(`closed: ${await hash}\n`)
