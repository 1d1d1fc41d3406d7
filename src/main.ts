#!/usr/bin/env node
/** The process: argv → command → exit code. */
import { readFileSync } from 'node:fs'
import { resolvePlugin } from './backends/registry.ts'
import { runProgram } from './commands/program.ts'
import { loadConfig } from './config/load.ts'

const { version, engines } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
const needed = Number.parseInt(engines.node.replace('>=', ''), 10)
if (Number.parseInt(process.versions.node, 10) < needed) {
  process.stderr.write(
    `gatehouse: it needs Node.js ${needed} or newer, and this is ${process.versions.node}\n`,
  )
  process.exit(1)
}

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

await runProgram(
  process.argv.slice(2),
  {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    color: process.stdout.isTTY === true && !process.env.NO_COLOR,
    loadConfig: (file, readFile) =>
      loadConfig({ file, env: process.env, resolvePlugin, ...(readFile && { readFile }) }),
    setExitCode: code => {
      process.exitCode = outputFailed && code === 0 ? 1 : code
    },
  },
  version,
)
