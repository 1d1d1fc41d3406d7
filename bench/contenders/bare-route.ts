import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Contender, Running } from '../contender.ts'
import { loginRequest } from '../login-request.ts'

const SERVER = fileURLToPath(new URL('bare-server.ts', import.meta.url))

/** What nobody can beat who answers with Fastify: it asks nobody, and refuses everybody. */
export const bareRoute: Contender = {
  name: 'bare Fastify route',
  remark: 'parses the body, answers 429 with the same JSON and headers',
  start: startBareRoute,
}

async function startBareRoute(): Promise<Running> {
  const child = fork(SERVER)
  const [port] = await once(child, 'message')
  return {
    protocol: 'http',
    address: `127.0.0.1:${port}`,
    request: loginRequest,
    accepted: '200',
    refused: '429',
    pids: [child.pid ?? 0],
    async stop() {
      child.kill()
      await once(child, 'exit')
    },
  }
}
