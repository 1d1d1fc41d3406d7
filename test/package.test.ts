import { execFile } from 'node:child_process'
import { copyFile, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'

const root = new URL('..', import.meta.url)
const read = async (name: string) => JSON.parse(await readFile(new URL(name, root), 'utf8'))
const manifest = await read('package.json')

t.test('the build writes a bill of materials of what runs, and of nothing else (S92)', async t => {
  t.match(manifest.scripts.build, / && node scripts\/write-sbom\.ts$/)
  const folder = t.testdir({ scripts: {}, dist: {} })
  for (const name of ['package.json', 'package-lock.json', 'scripts/write-sbom.ts']) {
    await copyFile(new URL(name, root), join(folder, name))
  }
  await promisify(execFile)(process.execPath, [join(folder, 'scripts/write-sbom.ts')])
  const sbom = JSON.parse(await readFile(join(folder, 'dist/sbom.cdx.json'), 'utf8'))
  t.match(sbom, { bomFormat: 'CycloneDX', metadata: { component: { name: 'gatehouse' } } })
  const listed = new Set(sbom.components.map(({ purl }: { purl: string }) => decodeURIComponent(purl)))
  t.equal(listed.size, sbom.components.length, 'each once')
  for (const [name, version] of Object.entries(manifest.devDependencies)) {
    t.notOk(listed.has(`pkg:npm/${name}@${version}`), name)
  }
  // With what the dependencies themselves want.
  const { packages } = await read('package-lock.json')
  for (const path of installedFor(Object.keys(manifest.dependencies), packages)) {
    t.ok(listed.has(`pkg:npm/${path.split('node_modules/').at(-1)}@${packages[path].version}`), path)
  }
})

interface Locked {
  readonly dependencies?: Readonly<Record<string, string>>
}

/** Every place in the lock file that is needed, found as Node.js finds it: from the asking package outward. */
function installedFor(names: readonly string[], packages: Readonly<Record<string, Locked>>): Set<string> {
  const found = new Set<string>()
  const visit = (name: string, from: string): void => {
    for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')))) {
      const path = `${at === '' ? '' : `${at}/`}node_modules/${name}`
      const locked = packages[path]
      if (locked !== undefined) {
        if (found.has(path)) return
        found.add(path)
        for (const needed of Object.keys(locked.dependencies ?? {})) visit(needed, path)
        return
      }
      if (at === '') throw new Error(`${name} is not in the lock file`)
    }
  }
  for (const name of names) visit(name, '')
  return found
}

t.test('every dependency is of one version, and the lock file knows its content', async t => {
  for (const [name, version] of Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })) {
    t.match(version, /^\d+\.\d+\.\d+$/, name)
  }
  const { packages } = await read('package-lock.json')
  for (const [path, { integrity, link }] of Object.entries<{ integrity?: string; link?: boolean }>(
    packages,
  )) {
    if (path !== '' && !link) t.match(integrity, /^sha512-/, path)
  }
})

t.test(
  'no package runs a script at its installation, but the one that brings Node.js for the tests',
  async t => {
    t.same(manifest.allowScripts, { node: true, 'better-sqlite3': false })
    t.notOk('node' in manifest.dependencies)
  },
)
