import type { Config } from './config.ts'

/** Files that the configuration names and that are read by somebody else: a change of one is a reason to reload. */
export function filesOf({ listen, backends, lockout }: Config): string[] {
  const { certFile, keyFile, clientCaFile } = listen.tls ?? {}
  const ours = [certFile, keyFile, clientCaFile, lockout.redis?.caFile].filter(path => path !== undefined)
  const theirs = backends
    .filter(({ enabled }) => enabled)
    .flatMap(({ plugin, options }) => plugin.files?.(options) ?? [])
  return [...new Set([...ours, ...theirs])]
}
