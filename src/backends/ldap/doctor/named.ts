/** Where the servers are named, and so where what is wrong with one is corrected: `urls` and `discover` exclude each other. */
export interface Named {
  /** Whether each is named with its scheme and port. */
  readonly byUrl: boolean
  /** Such as "`urls`". */
  readonly where: string
  /** How to have the connection encrypted, and how without StartTLS. */
  readonly encrypt: string
  readonly overTls: string
}

/** @param discover the domain whose SRV records name them, if so */
export function namedBy(discover: string | undefined): Named {
  if (discover === undefined) {
    return {
      byUrl: true,
      where: '`urls`',
      encrypt: 'use `ldaps://` in `urls`, or `tls: { starttls: true }`',
      overTls: 'use `ldaps://` in `urls`, without `tls.starttls`',
    }
  }
  return {
    byUrl: false,
    where: `the SRV records of ${discover}`,
    // Without either, 389 of `_ldap._tcp` stands for 636.
    encrypt: 'take out `insecure`, for LDAP over TLS, or set `tls: { starttls: true }`',
    overTls: 'take out `tls.starttls`, for LDAP over TLS',
  }
}
