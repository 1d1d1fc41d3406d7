import { createHash } from 'node:crypto'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Contender } from '../contender.ts'
import { startGatehouse } from './gatehouse.ts'

const EXAMPLE = fileURLToPath(new URL('../../examples/backend-static-list', import.meta.url))

/** The daemon before a backend that only looks into a list: what is left is its own cost. */
export const listed: Contender = {
  name: 'Gatehouse, a list for a backend',
  remark: 'the plugin of examples/backend-static-list',
  async start({ people }, folder) {
    await cp(EXAMPLE, join(folder, 'list'), { recursive: true })
    const digests = Object.fromEntries(people.map(({ uid, password }) => [uid, digestOf(password)]))
    const backends = [{ id: 'codes', type: './list/index.js', people: digests }]
    return startGatehouse(folder, backends, { plugins: ['./list/index.js'] })
  },
}

function digestOf(password: string): string {
  return createHash('sha256').update(password).digest('hex')
}
