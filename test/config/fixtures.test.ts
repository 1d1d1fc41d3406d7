import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { resolvePlugin } from '../../src/backends/registry.ts'
import { loadConfig } from '../../src/config/load.ts'
import { ConfigProblems } from '../../src/config/problem.ts'
import { formatProblems } from '../../src/config/report.ts'
import { readFromDisk } from '../../src/config/secret-file.ts'

// `TAP_SNAPSHOT=1` writes what is expected anew; then read the difference.

process.chdir(new URL('../..', import.meta.url).pathname)

const env = { WORD: 'word', NUMBER: '8470', YES: 'true', LOCALHOST: '127.0.0.1', LEVEL: 'debug' }

/** A checkout's permissions follow the umask; the name of the file decides instead. */
async function readFile(path: string) {
  const { bytes } = await readFromDisk(path)
  return { bytes, mode: path.endsWith('world-readable') ? 0o100644 : 0o100600 }
}

async function outputFor(file: string): Promise<{ readonly valid: boolean; readonly output: string }> {
  try {
    const { warnings } = await loadConfig({ file, env, resolvePlugin, readFile })
    return { valid: true, output: formatProblems(warnings, { color: false }) }
  } catch (error) {
    if (!(error instanceof ConfigProblems)) throw error
    return { valid: false, output: formatProblems(error.problems, { color: false }) }
  }
}

for (const folder of ['valid', 'invalid'] as const) {
  t.test(`every file in fixtures/yaml/${folder} gives exactly what stands beside it`, async t => {
    const files = globSync(`fixtures/yaml/${folder}/*.yaml`).sort()
    t.ok(files.length > 0, 'there are files')
    for (const file of files) {
      const expectedFile = file.replace(/\.yaml$/, '.expected.txt')
      const { valid, output } = await outputFor(file)
      if (process.env.TAP_SNAPSHOT === '1' && output !== '') writeFileSync(expectedFile, output)
      const expected = existsSync(expectedFile) ? readFileSync(expectedFile, 'utf8') : ''
      t.equal(valid, folder === 'valid', `${file} is ${folder}`)
      t.equal(output, expected, file)
      t.notMatch(output, 'hunter2', `${file} shows no secret`)
    }
  })
}
