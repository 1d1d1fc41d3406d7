/** A real Active Directory domain (Samba) behind a daemon, seen as its administrator sees it. */
import { type Samba, startSamba } from '../support/samba.ts'
import { type SambaPerson, sambaDomain } from '../support/samba-people.ts'
import type { TestScope } from '../support/slapd.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'

export interface Domain {
  readonly samba: Samba
  /** Between the daemon and the domain controller, for outages. */
  readonly proxy: TcpProxy
  /** The backend's part of the configuration. */
  readonly backend: object
  setThreshold(threshold: number): Promise<void>
  /** `badPwdCount`. */
  countOf(person: SambaPerson): Promise<number>
  /** By `lockoutTime`. */
  isLocked(person: SambaPerson): Promise<boolean>
  /** What the domain controller answered to binds for this person so far, in order: `OK`, `WRONG_PASSWORD`. */
  bindsOf(person: SambaPerson): Promise<readonly string[]>
}

export async function startDomain(t: TestScope): Promise<Domain> {
  const samba = await startSamba(t, {
    certificate: { names: [`DNS:${sambaDomain.host}`, 'DNS:localhost', 'IP:127.0.0.1'] },
  })
  const { accounts, baseDn } = samba
  const proxy = await startTcpProxy(t, { port: 636, host: samba.address })
  return {
    samba,
    proxy,
    backend: {
      id: 'corp',
      type: 'ldap',
      preset: 'active-directory',
      urls: [`ldaps://localhost:${proxy.port}`],
      tls: { ca_file: samba.caFile },
      bind: { dn: samba.serviceDn, password: samba.servicePassword },
      base_dn: baseDn,
      names: {
        netbios: sambaDomain.netbios,
        upn_suffixes: [sambaDomain.dns, sambaDomain.alternative],
      },
    },
    setThreshold: threshold => accounts.set(baseDn, 'lockoutThreshold', String(threshold)),
    countOf: async ({ dn }) => Number((await accounts.read(dn, 'badPwdCount'))[0] ?? 0),
    async isLocked({ dn }) {
      const [time = '0'] = await accounts.read(dn, 'lockoutTime')
      return time !== '0'
    },
    async bindsOf({ sam }) {
      const all = await samba.authentications()
      return all
        .filter(({ account }) => account === sam)
        .map(({ status }) => status.replace('NT_STATUS_', ''))
    },
  }
}

/** The most wrong ones between two right ones. */
export function mostInARow(binds: readonly string[]): number {
  let [most, row] = [0, 0]
  for (const status of binds) {
    row = status === 'OK' ? 0 : row + 1
    most = Math.max(most, row)
  }
  return most
}
