/** What every directory here begins with, people, and the backend that asks it. In clear: TLS is the same whatever grows. */
import { corpBaseDn, corpPeopleDn, corpService } from '../../test/support/corp.ts'
import { corpBackend, type Slapd } from '../../test/support/slapd.ts'

/** The base, its three units and the service account. */
export function groundLdif(): string {
  const units = ['people', 'groups', 'services'].map(
    ou => `dn: ou=${ou},${corpBaseDn}\nobjectClass: organizationalUnit\nou: ${ou}\n`,
  )
  return [
    `dn: ${corpBaseDn}\nobjectClass: dcObject\nobjectClass: organization\ndc: corp\no: Corp Example\n`,
    ...units,
    `dn: ${corpService.dn}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: gatehouse\n` +
      `userPassword: ${corpService.password}\n`,
  ].join('\n')
}

/** @param below the DN of the unit */
export function personLdif(uid: string, below: string = corpPeopleDn): string {
  return (
    `dn: uid=${uid},${below}\nobjectClass: inetOrgPerson\nuid: ${uid}\ncn: ${uid}\nsn: Example\n` +
    `mail: ${uid}@corp.example\nuserPassword: ${passwordOf(uid)}\n`
  )
}

export function passwordOf(uid: string): string {
  return `right-${uid}-horse`
}

/** @param changes of the options of `corp` */
export function plainBackend(slapd: Slapd, changes: object = {}): object {
  return corpBackend(slapd, {
    urls: [`ldap://127.0.0.1:${slapd.ldapPort}`],
    tls: {},
    insecure: true,
    ...changes,
  })
}
