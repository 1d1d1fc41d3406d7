/** The people of fixtures/ldap/corp.ldif, as code; support.test.ts holds the two together. */

export const corpBaseDn = 'dc=corp,dc=example'
export const corpPeopleDn = `ou=people,${corpBaseDn}`
export const corpGroupsDn = `ou=groups,${corpBaseDn}`

export interface CorpPerson {
  /** The login name. */
  readonly uid: string
  /** As RFC 4514 writes it. */
  readonly dn: string
  readonly mail?: string
  readonly password: string
}

export const corpService = {
  dn: `cn=gatehouse,ou=services,${corpBaseDn}`,
  password: 'gatehouse-secret-1',
} as const

export const corpPeople = {
  /** An ordinary user. */
  alice: person('alice', 'uid=alice', 'alice-secret-1', 'alice@corp.example'),
  /** An ordinary user. */
  bob: person('bob', 'uid=bob', 'bob-secret-1', 'bob@corp.example'),
  /** An ordinary user. */
  carol: person('carol', 'uid=carol', 'carol-secret-1', 'carol@corp.example'),
  /** Non-ASCII login name. */
  juergen: person('jürgen', 'uid=jürgen', 'juergen-secret-1', 'juergen@corp.example'),
  /** Non-ASCII DN. */
  lukasz: person('lukasz', 'cn=Łukasz Żółw', 'lukasz-secret-1', 'lukasz@corp.example'),
  /** Comma in the DN. */
  comma: person('comma', 'cn=Carroll\\, Lewis', 'comma-secret-1', 'comma@corp.example'),
  /** Plus in the DN. */
  plus: person('plus', 'cn=One\\+One', 'plus-secret-1', 'plus@corp.example'),
  /** Quotes in the DN. */
  quote: person('quote', 'cn=Dwayne \\"The Rock\\" Johnson', 'quote-secret-1', 'quote@corp.example'),
  /** Backslash in the DN. */
  backslash: person('backslash', 'cn=Back\\\\Slash', 'backslash-secret-1', 'backslash@corp.example'),
  /** Leading # in the DN. */
  hash: person('hash', 'cn=\\#Hash', 'hash-secret-1', 'hash@corp.example'),
  /** Leading blank in the DN. */
  blank: person('blank', 'cn=\\ Leading Blank', 'blank-secret-1', 'blank@corp.example'),
  /** Parentheses in the DN. */
  parentheses: person(
    'parentheses',
    'cn=Brackets (EMEA)',
    'parentheses-secret-1',
    'parentheses@corp.example',
  ),
  /** Semicolon in the DN. */
  semicolon: person('semicolon', 'cn=Semi\\;Colon', 'semicolon-secret-1', 'semicolon@corp.example'),
  /** RDN of two attributes. */
  multi: person('multi', 'cn=Multi Valued+uid=multi', 'multi-secret-1', 'multi@corp.example'),
  /** A login name made of filter syntax. */
  filter: person('star*(all)', 'uid=star*(all)', 'filter-secret-1', 'filter@corp.example'),
  /** Shares its mail address. */
  twinOne: person('twin1', 'uid=twin1', 'twin1-secret-1', 'twins@corp.example'),
  /** Shares its mail address. */
  twinTwo: person('twin2', 'uid=twin2', 'twin2-secret-1', 'twins@corp.example'),
  /** No mail address. */
  nomail: person('nomail', 'uid=nomail', 'nomail-secret-1'),
  /** Many values. */
  many: person('many', 'uid=many', 'many-secret-1', 'many@corp.example'),
} as const satisfies Record<string, CorpPerson>

function person(uid: string, rdn: string, password: string, mail?: string): CorpPerson {
  return { uid, dn: `${rdn},${corpPeopleDn}`, password, ...(mail === undefined ? {} : { mail }) }
}
