import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { Worker } from 'node:worker_threads'

/**
 * A loopback port on which connecting neither succeeds nor fails, as with a host behind a firewall that drops:
 * a thread listens with the shortest queue there is and never accepts, and the queue is full,
 * so the kernel ignores whoever knocks.
 */
export async function startBlackHole(t: { teardown(end: () => unknown): void }): Promise<{ port: number }> {
  const worker = new Worker(
    `const { parentPort } = require('node:worker_threads')
     const server = require('node:net').createServer()
     server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
       parentPort.postMessage(server.address().port)
       Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
     })`,
    { eval: true },
  )
  const fillers: Socket[] = []
  t.teardown(async () => {
    for (const filler of fillers) filler.destroy()
    await worker.terminate()
  })
  const [port] = (await once(worker, 'message')) as [number]
  // A queue of one holds two; the third gets no answer, which is what we are here for.
  for (let i = 0; i < 2; i += 1) {
    const filler = connect(port, '127.0.0.1')
    fillers.push(filler)
    await once(filler, 'connect')
    filler.on('error', () => {})
  }
  return { port }
}
