#!/usr/bin/env node
/** The process: argv → command, exit codes. */
import { readFileSync } from 'node:fs'
import { CommanderError } from 'commander'
import { resolvePlugin } from './backends/registry.ts'
import type { CommandContext } from './commands/context.ts'
import { createProgram } from './commands/program.ts'
import { loadConfig } from './config/load.ts'
import { ConfigProblems } from './config/problem.ts'
import { formatProblems } from './config/report.ts'

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))

const context: CommandContext = {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  color: process.stdout.isTTY === true && !process.env['NO_COLOR'],
  loadConfig: file => loadConfig({ file, env: process.env, resolvePlugin }),
  setExitCode: code => {
    process.exitCode = code
  },
}

try {
  await createProgram(context, version).parseAsync(process.argv)
} catch (error) {
  if (error instanceof CommanderError) {
    // Commander has said why already; help and version are no mistakes.
    process.exitCode = error.exitCode === 0 ? 0 : 2
  } else if (error instanceof ConfigProblems) {
    process.stderr.write(formatProblems(error.problems, { color: context.color }))
    process.exitCode = 1
  } else {
    process.stderr.write(`gatehouse: ${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  }
}
