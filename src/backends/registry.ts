import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { BackendPlugin } from '../plugin.ts'
import { emailPlugin } from './email/index.ts'
import { ldapPlugin } from './ldap/index.ts'
import { localPlugin } from './local/index.ts'

/** Every backend that ships, one line each. The order here means nothing: the YAML decides. */
export const builtInPlugins: readonly BackendPlugin[] = [ldapPlugin, emailPlugin, localPlugin]

/**
 * Finds the plugin behind a `type:`. A built-in one by its word; `npm:<package>` or a path only if the configuration
 * lists it under `plugins:`, so that no other code is ever loaded (security.md S89).
 *
 * @param declared the configuration's `plugins:`
 * @returns the plugin, or why there is none, in words for the operator
 */
export async function resolvePlugin(
  type: string,
  declared: readonly string[],
): Promise<BackendPlugin | NoPlugin> {
  const builtIn = builtInPlugins.find(plugin => plugin.type === type)
  if (builtIn !== undefined) return builtIn
  const known = [...builtInPlugins.map(plugin => plugin.type), ...declared]
  if (!declared.includes(type)) {
    return { error: isExternal(type) ? 'it is not listed under plugins:' : 'there is no such backend', known }
  }
  try {
    return readPlugin(await importPlugin(type))
  } catch (error) {
    if (error instanceof NotThere) return { error: error.message, hint: error.hint }
    return { error: `it cannot be loaded: ${error instanceof Error ? error.message : String(error)}` }
  }
}

/** Why there is no plugin, in words for the operator. */
interface NoPlugin {
  readonly error: string
  readonly hint?: string
  /** Types that do exist, for "did you mean". */
  readonly known?: readonly string[]
}

/** The plugin is listed, and not where it would be loaded from. */
class NotThere extends Error {
  readonly hint: string

  constructor(message: string, hint: string) {
    super(message)
    this.hint = hint
  }
}

function isExternal(type: string): boolean {
  return type.startsWith('npm:') || type.includes('/')
}

async function importPlugin(type: string): Promise<Record<string, unknown>> {
  return import(type.startsWith('npm:') ? findPackage(type.slice('npm:'.length)) : findFile(type))
}

/** In the working directory, where the operator installs plugins, then among the daemon's own dependencies. */
function findPackage(name: string): string {
  try {
    return pathToFileURL(createRequire(resolve('package.json')).resolve(name)).href
  } catch (error) {
    if (!isNotFound(error)) throw error
  }
  try {
    return import.meta.resolve(name)
  } catch (error) {
    if (!isNotFound(error)) throw error
    const [installable = name] = /^(@[^/]+\/)?[^/]+/.exec(name) ?? []
    throw new NotThere(
      'this package is not installed',
      `npm install ${installable}, in the working directory of the daemon`,
    )
  }
}

function findFile(path: string): string {
  const file = resolve(path)
  if (!existsSync(file))
    throw new NotThere('there is no such file', 'relative paths start in the working directory')
  return pathToFileURL(file).href
}

function isNotFound(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return code === 'MODULE_NOT_FOUND' || code === 'ERR_MODULE_NOT_FOUND'
}

/** @throws Error that says what is wrong with the module */
function readPlugin({ plugin }: Record<string, unknown>): BackendPlugin {
  if (typeof plugin !== 'object' || plugin === null) throw new Error('it exports no object named "plugin"')
  const { apiVersion, options, create, ...rest } = plugin as Partial<Record<keyof BackendPlugin, unknown>>
  if (apiVersion !== 1) throw new Error(`its apiVersion is ${String(apiVersion)}, this daemon speaks 1`)
  if (typeof options !== 'object' || options === null || !('type' in options) || options.type !== 'object') {
    throw new Error('its "options" is not the schema of an object')
  }
  if (typeof create !== 'function') throw new Error('its "create" is not a function')
  for (const name of ['check', 'on', 'implied', 'files', 'examine'] as const) {
    const hook = rest[name]
    if (hook !== undefined && typeof hook !== 'function') throw new Error(`its "${name}" is not a function`)
  }
  return plugin as BackendPlugin
}
