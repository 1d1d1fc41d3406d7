/** A house in front of a real slapd, and an administrator who changes that directory. */
import { Attribute, Change, Client } from 'ldapts'
import type { Test } from 'tap'
import { corpPeopleDn } from '../support/corp.ts'
import { corpBackend, type Slapd } from '../support/slapd.ts'
import { type House, type HouseConfig, openHouse } from './house.ts'

/** The directory alone, unless there are other `backends`, with these changes to its options. */
export function openCorpHouse(
  t: Test,
  slapd: Slapd,
  corp: object = {},
  config: Partial<HouseConfig> = {},
): Promise<House> {
  return openHouse(t, { backends: [corpBackend(slapd, corp)], ...config })
}

/** Somebody of this login name in the directory, in an entry of this RDN. */
export interface NewPerson {
  readonly uid: string
  readonly password: string
  readonly mail?: string
  /** `uid=…` unless said, as RFC 4514 writes it. */
  readonly rdn?: string
  readonly cn?: string
}

/** Adds people to the directory, and takes them away when the test ends. */
export async function addToDirectory(
  t: Test,
  slapd: Slapd,
  people: readonly NewPerson[],
): Promise<readonly string[]> {
  const dns = people.map(({ uid, rdn = `uid=${uid}` }) => `${rdn},${corpPeopleDn}`)
  await asAdministrator(slapd, async client => {
    for (const [at, { uid, password, mail, cn = uid }] of people.entries()) {
      await client.add(dns[at] ?? '', {
        objectClass: 'inetOrgPerson',
        uid,
        cn,
        sn: 'Person',
        userPassword: password,
        ...(mail !== undefined && { mail }),
      })
    }
  })
  t.teardown(() =>
    asAdministrator(slapd, async client => {
      for (const dn of dns) await client.del(dn).catch(() => {})
    }),
  )
  return dns
}

/** Sets one attribute of an entry. */
export function setInDirectory(slapd: Slapd, dn: string, type: string, ...values: string[]): Promise<void> {
  return asAdministrator(slapd, client =>
    client.modify(dn, new Change({ operation: 'replace', modification: new Attribute({ type, values }) })),
  )
}

export async function asAdministrator<T>(slapd: Slapd, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ url: slapd.ldapUrl, timeout: 5_000, connectTimeout: 5_000 })
  try {
    await client.bind(slapd.adminDn, slapd.adminPassword)
    return await work(client)
  } finally {
    await client.unbind()
  }
}

/** The binds of people that reached the directory while `work` ran, by their DN; those of the service account stand apart. */
export async function bindsDuring(slapd: Slapd, work: () => Promise<unknown>): Promise<readonly string[]> {
  const before = (await slapd.binds()).length
  await work()
  const binds = (await slapd.binds()).slice(before)
  return binds.map(({ dn }) => dn).filter(dn => dn !== slapd.serviceDn && dn !== slapd.adminDn)
}
