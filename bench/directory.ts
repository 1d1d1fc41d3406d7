/** The one directory that everybody who is measured asks: Debian's slapd with ten thousand people, and no log of its own. */
import { createHash, randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { corpBaseDn, corpPeopleDn, corpService } from '../test/support/corp.ts'
import { runSlapd, type Slapd } from '../test/support/slapd.ts'

export interface BenchPerson {
  readonly uid: string
  readonly dn: string
  readonly password: string
}

export interface BenchDirectory {
  readonly slapd: Slapd
  readonly people: readonly BenchPerson[]
}

/** `{SSHA}`: the quickest hash that slapd has, so that the directory hides as little as it can of what is before it. */
function hash(password: string): string {
  const salt = randomBytes(8)
  const digest = createHash('sha1').update(password).update(salt).digest()
  return `{SSHA}${Buffer.concat([digest, salt]).toString('base64')}`
}

function person(number: number): BenchPerson {
  const uid = `user${String(number).padStart(5, '0')}`
  return { uid, dn: `uid=${uid},${corpPeopleDn}`, password: `right-${uid}-horse` }
}

/** @param folder for its configuration and data; it must be there */
export async function startDirectory(folder: string, size: number): Promise<BenchDirectory> {
  const people = Array.from({ length: size }, (_, index) => person(index))
  const ldif = join(folder, 'people.ldif')
  await writeFile(ldif, toLdif(people))
  const slapd = await runSlapd({ directory: join(folder, 'slapd'), ldif, logs: 'none', maxSize: 2 ** 30 })
  return { slapd, people }
}

function toLdif(people: readonly BenchPerson[]): string {
  const entries = [
    `dn: ${corpBaseDn}\nobjectClass: dcObject\nobjectClass: organization\ndc: corp\no: Corp Example\n`,
    ...['people', 'groups', 'services'].map(
      ou => `dn: ou=${ou},${corpBaseDn}\nobjectClass: organizationalUnit\nou: ${ou}\n`,
    ),
    `dn: ${corpService.dn}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: gatehouse\n` +
      `userPassword: ${hash(corpService.password)}\n`,
    ...people.map(
      ({ uid, dn, password }) =>
        `dn: ${dn}\nobjectClass: inetOrgPerson\nuid: ${uid}\ncn: ${uid} Example\nsn: Example\n` +
        `displayName: ${uid} of Example\nmail: ${uid}@corp.example\nuserPassword: ${hash(password)}\n`,
    ),
  ]
  return entries.join('\n')
}
