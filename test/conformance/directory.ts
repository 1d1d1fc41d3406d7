/** Real OpenLDAP directories for the conformance tests: more people in them, changes as an administrator makes them, what was sent. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Attribute, Change, Client } from 'ldapts'
import type { Test } from 'tap'
import { corpPeopleDn } from '../support/corp.ts'
import { type Slapd, startSlapd } from '../support/slapd.ts'
import type { LoggedBind, LoggedSearch } from '../support/slapd-log.ts'
import { EMAIL, LOCAL } from './house.ts'

const CORP = new URL('../../fixtures/ldap/corp.ldif', import.meta.url)

/** fixtures/ldap/corp.ldif with these entries behind it, as a file. */
export function corpWith(t: Test, ...entries: readonly string[]): string {
  const file = join(t.testdir(), 'more.ldif')
  writeFileSync(file, [readFileSync(CORP, 'utf8').trimEnd(), ...entries].join('\n\n'))
  return file
}

/** LDIF of somebody with the password `<uid>-secret-1`, and with these lines besides. */
export function personLdif(
  uid: string,
  { under = corpPeopleDn, more = [] as readonly string[] } = {},
): string {
  const entry = [
    `dn: uid=${uid},${under}`,
    'objectClass: inetOrgPerson',
    `uid: ${uid}`,
    `cn: ${uid}`,
    `sn: ${uid}`,
    `userPassword: ${uid}-secret-1`,
  ]
  return [...entry, ...more].join('\n')
}

export function unitLdif(ou: string): string {
  return `dn: ou=${ou},dc=corp,dc=example\nobjectClass: organizationalUnit\nou: ${ou}`
}

/** Local users stand behind the directory, as in the shipped configuration. */
export function beforeLocal(...directories: readonly object[]): { readonly backends: readonly object[] } {
  return { backends: [...directories, EMAIL, LOCAL] }
}

/** An OpenLDAP with the overlay ppolicy and these entries; whom no policy is about gets one that demands nothing. */
export function startPolicySlapd(
  t: Test,
  { entries, databaseConfig = '', serverConfig = '' }: PolicySlapdOptions,
): Promise<Slapd> {
  return startSlapd(t, {
    ldif: corpWith(t, unitLdif('policies'), policyLdif('default'), ...entries),
    serverConfig: `moduleload ppolicy\n${serverConfig}`,
    databaseConfig: `overlay ppolicy\nppolicy_default "${policyDn('default')}"\nppolicy_use_lockout\n${databaseConfig}`,
  })
}

interface PolicySlapdOptions {
  readonly entries: readonly string[]
  readonly databaseConfig?: string
  readonly serverConfig?: string
}

export function policyDn(cn: string): string {
  return `cn=${cn},ou=policies,dc=corp,dc=example`
}

export function policyLdif(cn: string, ...settings: readonly string[]): string {
  const entry = [
    `dn: ${policyDn(cn)}`,
    'objectClass: organizationalRole',
    'objectClass: pwdPolicy',
    `cn: ${cn}`,
    'pwdAttribute: userPassword',
  ]
  return [...entry, ...settings].join('\n')
}

export interface Administrator {
  /** How many references a search of the whole directory brings. */
  references(): Promise<number>
  set(dn: string, attribute: string, ...values: readonly string[]): Promise<void>
  join(group: string, member: string): Promise<void>
  leave(group: string, member: string): Promise<void>
}

/** Changes the directory under the daemon's feet. */
export function administratorOf({ ldapsPort, baseDn, adminDn, adminPassword }: Slapd): Administrator {
  async function connected<T>(work: (client: Client) => Promise<T>): Promise<T> {
    const client = new Client({
      url: `ldaps://127.0.0.1:${ldapsPort}`,
      timeout: 5_000,
      connectTimeout: 5_000,
      tlsOptions: { rejectUnauthorized: false },
    })
    try {
      await client.bind(adminDn, adminPassword)
      return await work(client)
    } finally {
      await client.unbind()
    }
  }
  async function modify(
    dn: string,
    operation: 'add' | 'delete' | 'replace',
    type: string,
    values: readonly string[],
  ): Promise<void> {
    const modification = new Attribute({ type, values: [...values] })
    await connected(client => client.modify(dn, new Change({ operation, modification })))
  }
  return {
    references: async () =>
      (await connected(client => client.search(baseDn, { filter: '(uid=alice)' }))).searchReferences.length,
    set: (dn, attribute, ...values) => modify(dn, 'replace', attribute, values),
    join: (group, member) => modify(group, 'add', 'member', [member]),
    leave: (group, member) => modify(group, 'delete', 'member', [member]),
  }
}

/** What slapd was sent while `work` ran: the binds of people, the administrator's and the service account's left out, and searches. */
export async function sentDuring(
  slapd: Slapd,
  work: () => Promise<unknown>,
): Promise<{ readonly binds: LoggedBind[]; readonly searches: LoggedSearch[] }> {
  const before = { binds: (await slapd.binds()).length, searches: (await slapd.searches()).length }
  await work()
  const own: readonly string[] = [slapd.serviceDn, slapd.adminDn]
  return {
    binds: (await slapd.binds()).slice(before.binds).filter(({ dn }) => !own.includes(dn)),
    searches: (await slapd.searches()).slice(before.searches).filter(isForAPerson),
  }
}

/** Not a look whether the server is there, nor for groups. */
function isForAPerson({ filter }: LoggedSearch): boolean {
  return /[(](uid|mail|employeeNumber|roomNumber)=(?!\*\))/.test(filter)
}
