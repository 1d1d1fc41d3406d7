/** Who lives in the Samba AD DC of the tests: the one place from which its directory is made and tests take names. */
import type { AccountState } from '../../src/authentication/outcome.ts'

export const sambaBaseDn = 'DC=corp,DC=example'
export const sambaPeopleDn = `OU=People,${sambaBaseDn}`
export const sambaGroupsDn = `OU=Groups,${sambaBaseDn}`
/** Somewhere to move people to. */
export const sambaLeaversDn = `OU=Leavers,${sambaBaseDn}`

export interface SambaPerson {
  /** sAMAccountName. */
  readonly sam: string
  /** The value of the RDN, unescaped. */
  readonly cn: string
  /** As RFC 4514 writes it. */
  readonly dn: string
  readonly password: string
  readonly upn?: string
  readonly mail?: string
  readonly displayName?: string
  /** Why the account may not log in. */
  readonly state?: AccountState
  /** Active Directory's sub-code of result 49 with the right password, and with a wrong one. */
  readonly subCodes?: readonly [right: string, wrong: string]
  /** Further attributes; a value in base64 where it is octets. */
  readonly attributes?: Readonly<Record<string, string | { readonly base64: string }>>
  /** `pwdLastSet`, in hundreds of nanoseconds since 1601. */
  readonly passwordSetAt?: string
  /** `lockoutTime`, in hundreds of nanoseconds since 1601. */
  readonly lockedAt?: string
}

export const sambaDomain = {
  dns: 'corp.example',
  /** A second UPN suffix of the forest. */
  alternative: 'alt.example',
  netbios: 'CORP',
  /** The host name of the domain controller, which its certificate carries. */
  host: 'dc1.corp.example',
  /** Wrong passwords after which the directory locks an account, for ever. */
  lockoutThreshold: 3,
  administrator: { dn: `CN=Administrator,CN=Users,${sambaBaseDn}`, password: 'Admin-secret-1' },
} as const

export const sambaService = {
  sam: 'svc-gatehouse',
  dn: `CN=svc-gatehouse,OU=Service,${sambaBaseDn}`,
  upn: 'svc-gatehouse@corp.example',
  password: 'gatehouse-secret-1',
} as const

/** Bits of userAccountControl ([MS-ADTS] section 2.2.16). */
export const NORMAL = 0x200
export const DISABLED = 0x2
export const NEVER_EXPIRES = 0x10000

/** 2001-01-01, long before anything expires. */
const LONG_AGO = '126227808000000000'
/** 2020-01-01. */
const SOME_TIME_AGO = '132223104000000000'
const never = Buffer.alloc(21).toString('base64')
const control = (bits: number) => ({ attributes: { userAccountControl: String(bits) } })

export const sambaPeople = {
  /** Every name form is different: login name, UPN, mail. */
  alice: person('alice', 'Alice Liddell', {
    upn: 'alice.liddell@corp.example',
    mail: 'a.liddell@mail.example',
    displayName: 'Alice Liddell',
    attributes: { department: 'R&D' },
  }),
  /** UPN with the alternative suffix. */
  bob: person('bob', 'Bob', { upn: 'bob@alt.example', mail: 'bob@corp.example' }),
  /** No UPN of her own and no mail: the implicit `carol@corp.example` only. */
  carol: person('carol', 'Carol'),
  /** Both prefix and suffix of the UPN differ. */
  dave: person('dave', 'Dave', { upn: 'david.jones@alt.example', mail: 'dj@mail.example' }),
  /** Her UPN is somebody else's mail address. */
  erin: person('erin', 'Erin', { upn: 'erin@corp.example' }),
  mallory: person('mallory', 'Mallory', { upn: 'mallory@corp.example', mail: 'erin@corp.example' }),
  /** His UPN is Dave’s login name in an alternative suffix. */
  shadow: person('shadow', 'Shadow', { upn: 'dave@alt.example' }),
  /** In groups four deep, with a cycle. */
  nested: person('nested', 'Nested', { upn: 'nested@corp.example' }),
  /** With another primary group than Domain Users. */
  primary: person('primary', 'Primary'),

  disabled: person('disabled', 'Disabled', {
    state: 'disabled',
    subCodes: ['533', '52e'],
    ...control(NORMAL | DISABLED),
  }),
  expired: person('expired', 'Expired', {
    state: 'expired',
    subCodes: ['701', '52e'],
    attributes: { accountExpires: SOME_TIME_AGO },
  }),
  passwordExpired: person('pwexpired', 'Password Expired', {
    state: 'password_expired',
    subCodes: ['532', '52e'],
    passwordSetAt: LONG_AGO,
  }),
  mustChange: person('mustchange', 'Must Change', {
    state: 'password_must_change',
    subCodes: ['773', '52e'],
    passwordSetAt: '0',
  }),
  logonHours: person('nighthours', 'Logon Hours', {
    state: 'logon_hours',
    subCodes: ['530', '52e'],
    attributes: { logonHours: { base64: never } },
  }),
  workstation: person('elsewhere', 'Workstation', {
    state: 'workstation_not_allowed',
    subCodes: ['531', '52e'],
    attributes: { userWorkstations: 'ANOTHERPC' },
  }),
  locked: person('locked', 'Locked', { state: 'locked', subCodes: ['775', '775'], lockedAt: SOME_TIME_AGO }),
  /** A member of Protected Users, who may not prove themselves by a password. */
  protected: person('protected', 'Protected', { state: 'restricted', subCodes: ['52f', '52f'] }),

  /** Old password that never expires: nothing speaks against it. */
  neverExpires: person('neverexpires', 'Never Expires', {
    ...control(NORMAL | NEVER_EXPIRES),
    passwordSetAt: LONG_AGO,
  }),
  /** Under a policy of its own, by which the password expires in ten days from the start of the server. */
  expiresSoon: person('expiressoon', 'Expires Soon'),
  /** Under a policy of its own, by which five wrong passwords lock it. */
  patient: person('patient', 'Patient', { upn: 'patience@alt.example', mail: 'patient@mail.example' }),

  comma: person('comma', 'Carroll, Lewis'),
  plus: person('plus', 'One+One'),
  quote: person('quote', 'Dwayne "The Rock" Johnson'),
  parentheses: person('parentheses', 'Brackets (EMEA)'),
  backslash: person('backslash', 'Back\\Slash'),
  hash: person('hash', '#Hash'),
  blank: person('blank', ' Leading Blank'),
  slash: person('slash', 'Slash/Slash'),
  semicolon: person('semicolon', 'Semi;Colon'),
  equals: person('equals', 'a=b'),
  angles: person('angles', '<angles>'),
  star: person('starcn', 'St*r'),
  nonAscii: person('lukasz', 'Łukasz Żółw'),
  /** Odd login names, too. */
  juergen: person('jürgen', 'Jürgen', { upn: 'jürgen@corp.example' }),
  spaced: person('john smith', 'John Smith'),
  bracketSam: person('odd(sam)', 'Odd Sam'),
} as const satisfies Record<string, SambaPerson>

/** How long the password of `expiresSoon` is still good when the server has started, in milliseconds. */
export const expiresSoonMs = 10 * 86_400_000
/** Wrong passwords after which the policy of `patient` locks. */
export const patientThreshold = 5

/** Name → what is in it. Everybody is in Domain Users, too, but for `primary`. */
export const sambaGroups = {
  staff: [sambaPeople.alice.dn, sambaPeople.bob.dn],
  'Wiki Admins, R&D (EMEA)': [sambaPeople.alice.dn],
  'level 1': [sambaPeople.nested.dn, groupDn('level 4')],
  'level 2': [groupDn('level 1')],
  'level 3': [groupDn('level 2')],
  'level 4': [groupDn('level 3')],
  readers: [sambaPeople.primary.dn],
  'all readers': [groupDn('readers')],
} as const satisfies Record<string, readonly string[]>

/** Groups are added before their members are: a cycle has no other beginning. */
export function groupDn(name: string): string {
  return `CN=${escapeValue(name)},${sambaGroupsDn}`
}

function person<const M extends Omit<Partial<SambaPerson>, 'sam' | 'cn' | 'dn' | 'password'> = object>(
  sam: string,
  cn: string,
  more: M = {} as M,
) {
  return { sam, cn, dn: `CN=${escapeValue(cn)},${sambaPeopleDn}`, password: `${sam}-secret-1`, ...more }
}

/** RFC 4514 section 2.4. Apart from the product's own, which the tests are there to test. */
function escapeValue(value: string): string {
  return value.replaceAll(/[\\,+"<>;=]/g, String.raw`\$&`).replace(/^[ #]|(?!^) $/, String.raw`\$&`)
}
