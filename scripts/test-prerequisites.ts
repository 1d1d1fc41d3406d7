/**
 * Runs once before the tests, so that test files that start side by side find Debian's servers ready.
 * Installs nothing: see test/support/debian.ts.
 */
import { provideRedis } from '../test/support/redis.ts'
import { provideSamba } from '../test/support/samba-domain.ts'
import { provideSlapd } from '../test/support/slapd.ts'
import { provideCaddy, provideNginx } from '../test/support/web-servers.ts'

try {
  const slapd = await provideSlapd()
  process.stderr.write(`test prerequisites: ${slapd.path}\n`)
  const redis = await provideRedis()
  process.stderr.write(`test prerequisites: ${redis.path}\n`)
  const [nginx, caddy] = [await provideNginx(), await provideCaddy()]
  process.stderr.write(`test prerequisites: ${nginx.path}, ${caddy.path}\n`)
  const samba = await provideSamba()
  process.stderr.write(`test prerequisites: ${samba.program.root}${samba.program.path}, ${samba.pristine}\n`)
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
