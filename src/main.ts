#!/usr/bin/env node
/** The process: argv → command → exit code. */
import { readFileSync } from 'node:fs'
import { useCompileCache } from './compile-cache.ts'

const { version, engines } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
const needed = Number.parseInt(engines.node.replace('>=', ''), 10)
if (Number.parseInt(process.versions.node, 10) < needed) {
  process.stderr.write(
    `gatehouse: it needs Node.js ${needed} or newer, and this is ${process.versions.node}\n`,
  )
  process.exit(1)
}
useCompileCache()

let outputFailed = false
process.stdout.on('error', error => {
  // Whoever reads us may have seen enough: `gatehouse config show | head`.
  if (outputFailed || ('code' in error && error.code === 'EPIPE')) return
  outputFailed = true
  process.exitCode = 1
  process.stderr.write(`gatehouse: the output cannot be written: ${error.message}\n`)
})
// There is nobody left to tell.
process.stderr.on('error', () => {})

// Only now: imported above, it would be compiled before there is a cache.
const { runProgram } = await import('./commands/program.ts')
await runProgram(
  process.argv.slice(2),
  {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    color: process.stdout.isTTY === true && !process.env.NO_COLOR,
    // Some commands have no use for a configuration.
    async loadConfig(file, readFile) {
      const { loadConfig } = await import('./config/load.ts')
      const { resolvePlugin } = await import('./backends/registry.ts')
      return loadConfig({ file, env: process.env, resolvePlugin, ...(readFile && { readFile }) })
    },
    setExitCode: code => {
      process.exitCode = outputFailed && code === 0 ? 1 : code
    },
  },
  version,
)
