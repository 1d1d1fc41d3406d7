/** Changes that an administrator of a Samba domain makes while a test runs. */
import { Attribute, Change, Client, InvalidCredentialsError } from 'ldapts'
import { DISABLED, sambaBaseDn, sambaDomain } from './samba-people.ts'
import { unicodePassword } from './samba-seed.ts'

export interface SambaAccounts {
  disable(dn: string): Promise<void>
  enable(dn: string): Promise<void>
  setPassword(dn: string, password: string): Promise<void>
  /** The next password change must come before the next logon. */
  expirePassword(dn: string): Promise<void>
  /** Locks it as strangers do: by wrong passwords, until the directory says that it is. */
  lock(dn: string): Promise<void>
  /** Wrong passwords that somebody types elsewhere in the domain. */
  guess(dn: string, times: number): Promise<void>
  unlock(dn: string): Promise<void>
  /** Renames or moves the entry. */
  move(dn: string, newDn: string): Promise<void>
  /** Sets an attribute, or takes it away where no value is given. */
  set(dn: string, attribute: string, ...values: string[]): Promise<void>
  join(groupDn: string, memberDn: string): Promise<void>
  leave(groupDn: string, memberDn: string): Promise<void>
  remove(dn: string): Promise<void>
  /** One attribute as an administrator sees it. */
  read(dn: string, attribute: string): Promise<string[]>
  /** What each start needs: the DNS names point at `address`, and the password of `freshDn` is from just now. */
  atStart(address: string, freshDn: string): Promise<void>
}

interface Controller {
  readonly address: string
  /** The harness's own address. */
  readonly from: string
}

/** More wrong passwords than any policy here bears. */
const MAX_WRONG = 10

export function createSambaAccounts({ address, from }: Controller): SambaAccounts {
  const { dn: administrator, password } = sambaDomain.administrator

  /** Connects anew each time: the server may have been stopped and reset meanwhile. */
  async function connected<T>(work: (client: Client) => Promise<T>): Promise<T> {
    const client = new Client({
      url: `ldaps://${address}`,
      timeout: 10_000,
      connectTimeout: 10_000,
      // Whatever certificate the test has asked for.
      tlsOptions: { rejectUnauthorized: false, localAddress: from } as object,
    })
    try {
      return await work(client)
    } finally {
      await client.unbind()
    }
  }

  function asAdministrator<T>(work: (client: Client) => Promise<T>): Promise<T> {
    return connected(async client => {
      await client.bind(administrator, password)
      return work(client)
    })
  }

  async function modify(
    dn: string,
    operation: 'add' | 'delete' | 'replace',
    type: string,
    values: string[] | Buffer[],
  ): Promise<void> {
    const modification = new Attribute({ type, values })
    await asAdministrator(client => client.modify(dn, new Change({ operation, modification })))
  }

  async function read(dn: string, attribute: string): Promise<string[]> {
    return asAdministrator(async client => {
      const { searchEntries } = await client.search(dn, { scope: 'base', attributes: [attribute] })
      return [searchEntries[0]?.[attribute] ?? []].flat().map(String)
    })
  }

  async function control(dn: string, change: (bits: number) => number): Promise<void> {
    const bits = Number((await read(dn, 'userAccountControl'))[0])
    await modify(dn, 'replace', 'userAccountControl', [String(change(bits))])
  }

  /** @returns what the directory said */
  async function bindWrongly(dn: string): Promise<string> {
    const said = await connected(client => client.bind(dn, 'certainly wrong')).catch(error => {
      if (error instanceof InvalidCredentialsError) return error.message
      throw error
    })
    return said ?? ''
  }

  /** Makes the A records of a name ([MS-DNSP] section 2.3.2.2: type at octet 2, data at 24) say this address. */
  async function pointName(name: string, host: string): Promise<void> {
    const dn = `DC=${name},DC=${sambaDomain.dns},CN=MicrosoftDNS,DC=DomainDnsZones,${sambaBaseDn}`
    await asAdministrator(async client => {
      const request = { attributes: ['dnsRecord'], explicitBufferAttributes: ['dnsRecord'] }
      const { searchEntries } = await client.search(dn, { scope: 'base', ...request })
      const records = [searchEntries[0]?.dnsRecord ?? []].flat().map(value => Buffer.from(value))
      for (const record of records)
        if (record.readUInt16LE(2) === 1) record.set(host.split('.').map(Number), 24)
      const modification = new Attribute({ type: 'dnsRecord', values: records })
      await client.modify(dn, new Change({ operation: 'replace', modification }))
    })
  }

  return {
    disable: dn => control(dn, bits => bits | DISABLED),
    enable: dn => control(dn, bits => bits & ~DISABLED),
    setPassword: (dn, wanted) =>
      modify(dn, 'replace', 'unicodePwd', [Buffer.from(unicodePassword(wanted).base64, 'base64')]),
    expirePassword: dn => modify(dn, 'replace', 'pwdLastSet', ['0']),

    async lock(dn) {
      for (let wrong = 1; wrong <= MAX_WRONG; wrong += 1) {
        if (/data 775\b/.test(await bindWrongly(dn))) return
      }
      throw new Error(`${dn} does not get locked`)
    },

    async guess(dn, times) {
      for (let wrong = 1; wrong <= times; wrong += 1) await bindWrongly(dn)
    },

    unlock: dn => modify(dn, 'replace', 'lockoutTime', ['0']),
    move: (dn, newDn) => asAdministrator(client => client.modifyDN(dn, newDn)),
    set: (dn, attribute, ...values) => modify(dn, 'replace', attribute, values),
    join: (group, member) => modify(group, 'add', 'member', [member]),
    leave: (group, member) => modify(group, 'delete', 'member', [member]),
    remove: dn => asAdministrator(client => client.del(dn)),
    read,

    async atStart(host, freshDn) {
      await modify(freshDn, 'replace', 'pwdLastSet', ['0'])
      await modify(freshDn, 'replace', 'pwdLastSet', ['-1'])
      for (const name of ['@', sambaDomain.host.split('.')[0] ?? '']) await pointName(name, host)
    },
  }
}
