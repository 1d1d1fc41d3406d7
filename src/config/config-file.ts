import { existsSync } from 'node:fs'
import { join } from 'node:path'

const SHIPPED = 'config/gatehouse.yaml'

/**
 * Which file configures the daemon: `--config`, else `$GATEHOUSE_CONFIG`, else `config/gatehouse.yaml` in the working
 * directory, else the one that ships with the package.
 */
export function configFile(option: string | undefined, env: NodeJS.ProcessEnv): string {
  const chosen = option || env.GATEHOUSE_CONFIG
  if (chosen) return chosen
  return existsSync(SHIPPED) ? SHIPPED : join(import.meta.dirname, '../..', SHIPPED)
}
