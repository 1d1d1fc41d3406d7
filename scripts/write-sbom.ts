/**
 * The end of `npm run build`: the bill of materials of what runs, dist/sbom.cdx.json (CycloneDX 1.5), from the lock file and
 * so the same for the same sources. (`npm sbom --omit dev` leaves out what development needs as well.)
 */
import { readFile, writeFile } from 'node:fs/promises'

interface Locked {
  readonly version: string
  readonly integrity: string
  readonly license?: string
  readonly dev?: true
  readonly optional?: true
}

const root = new URL('..', import.meta.url)
const read = async (name: string) => JSON.parse(await readFile(new URL(name, root), 'utf8'))
const { name, version, license } = await read('package.json')
const { packages } = await read('package-lock.json')

const components = Object.entries<Locked>(packages)
  .filter(([path, { dev }]) => path !== '' && !dev)
  .map(([path, locked]) =>
    describe(path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length), locked),
  )
const sbom = {
  bomFormat: 'CycloneDX',
  specVersion: '1.5',
  version: 1,
  metadata: {
    component: { type: 'application', 'bom-ref': `${name}@${version}`, name, version, ...licensed(license) },
  },
  // Two places of one version are one component.
  components: [...new Map(components.map(component => [component['bom-ref'], component])).values()],
}
await writeFile(new URL('dist/sbom.cdx.json', root), `${JSON.stringify(sbom, undefined, 2)}\n`)

function describe(name: string, { version, integrity, license, optional }: Locked) {
  const [algorithm, digest = ''] = integrity.split('-', 2)
  if (algorithm !== 'sha512') throw new Error(`${name} is locked by ${algorithm}`)
  return {
    type: 'library',
    'bom-ref': `${name}@${version}`,
    name,
    version,
    // Of another platform's binaries it depends on the machine whether they are there.
    scope: optional ? 'optional' : 'required',
    purl: `pkg:npm/${name.replace('@', '%40')}@${version}`,
    hashes: [{ alg: 'SHA-512', content: Buffer.from(digest, 'base64').toString('hex') }],
    ...licensed(license),
  }
}

function licensed(license: string | undefined) {
  return license === undefined ? {} : { licenses: [{ expression: license }] }
}
