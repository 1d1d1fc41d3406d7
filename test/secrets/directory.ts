import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Slapd, startSlapd, type TestScope } from '../support/slapd.ts'
import type { Canary } from './canary.ts'
import type { House } from './house.ts'

/** A real OpenLDAP whose people and whose service account have secrets that can be found again. */
export interface CanaryDirectory {
  readonly slapd: Slapd
  readonly service: Canary
  /** By login name: `fine`, `reset` (must change), `locked` and `disabled`. */
  readonly people: Readonly<Record<'fine' | 'reset' | 'locked', Canary>>
}

const BASE = 'dc=corp,dc=example'

export async function startCanaryDirectory(
  t: TestScope,
  house: House,
  folder: string,
): Promise<CanaryDirectory> {
  const service = house.canary('the service account’s password')
  const people = {
    fine: house.canary('the right password in the directory'),
    reset: house.canary('the right password of somebody who must change it'),
    locked: house.canary('the right password of somebody whom the directory has locked'),
  }
  const password = ({ password }: Canary) => `userPassword:: ${Buffer.from(password).toString('base64')}`
  const person = (uid: keyof typeof people, ...more: string[]) =>
    [
      `dn: uid=${uid},ou=people,${BASE}`,
      'objectClass: inetOrgPerson',
      `uid: ${uid}`,
      `cn: ${uid}`,
      `sn: ${uid}`,
      password(people[uid]),
      ...more,
      '',
    ].join('\n')
  const corp = readFileSync(new URL('../../fixtures/ldap/corp.ldif', import.meta.url), 'utf8')
  const ldif = join(folder, 'canary.ldif')
  const now = `${new Date().toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`
  writeFileSync(
    ldif,
    [
      corp.replace(
        /(dn: cn=gatehouse,ou=services[\s\S]*?)userPassword: .*/,
        (_, head) => head + password(service),
      ),
      `\ndn: ou=policies,${BASE}\nobjectClass: organizationalUnit\nou: policies\n`,
      `dn: cn=default,ou=policies,${BASE}\nobjectClass: device\nobjectClass: pwdPolicy\ncn: default\npwdAttribute: userPassword\npwdMustChange: TRUE\npwdLockout: TRUE\n`,
      person('fine'),
      person('reset', `pwdChangedTime: ${now}`, 'pwdReset: TRUE'),
      person('locked', 'pwdAccountLockedTime: 000001010000Z'),
    ].join('\n'),
  )
  const slapd = await startSlapd(t, {
    ldif,
    serverConfig: 'moduleload ppolicy',
    databaseConfig: `overlay ppolicy\nppolicy_default "cn=default,ou=policies,${BASE}"\nppolicy_use_lockout`,
  })
  return { slapd, service, people }
}
