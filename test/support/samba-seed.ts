/** What makes the tests' domain out of a freshly provisioned one. */
import {
  expiresSoonMs,
  groupDn,
  NEVER_EXPIRES,
  NORMAL,
  patientThreshold,
  type SambaPerson,
  sambaBaseDn,
  sambaDomain,
  sambaGroups,
  sambaPeople,
  sambaService,
} from './samba-people.ts'

/** What fixtures/samba/seed.py does, in order. */
export type SeedStep =
  | { readonly add: string; readonly attributes: SeedAttributes }
  | { readonly replace: string; readonly attributes: SeedAttributes; readonly passwordSetAt?: true }
  | { readonly join: string; readonly members: readonly string[] }

type SeedValue = string | { readonly base64: string } | { readonly ridOf: string }
type SeedAttributes = Readonly<Record<string, SeedValue | readonly string[]>>

/** Everything that makes this domain out of a fresh one. */
export function sambaSeed(): SeedStep[] {
  const people = Object.values<SambaPerson>(sambaPeople)
  return [
    {
      replace: sambaBaseDn,
      attributes: {
        lockoutThreshold: String(sambaDomain.lockoutThreshold),
        // Until an administrator unlocks it: what is kept in a cache must not change by itself.
        lockoutDuration: '-9223372036854775808',
        lockOutObservationWindow: interval(30 * 60_000),
        // Ten years, so that a kept domain does not expire either.
        maxPwdAge: interval(3_650 * 86_400_000),
        minPwdAge: '0',
        minPwdLength: '4',
        pwdHistoryLength: '0',
        pwdProperties: '0',
      },
    },
    {
      replace: `CN=Partitions,CN=Configuration,${sambaBaseDn}`,
      attributes: { uPNSuffixes: [sambaDomain.alternative] },
    },
    ...['People', 'Groups', 'Service', 'Leavers'].map(name => ({
      add: `OU=${name},${sambaBaseDn}`,
      attributes: { objectClass: 'organizationalUnit' },
    })),
    {
      add: sambaService.dn,
      attributes: {
        objectClass: 'user',
        sAMAccountName: sambaService.sam,
        userPrincipalName: sambaService.upn,
        unicodePwd: unicodePassword(sambaService.password),
        userAccountControl: String(NORMAL | NEVER_EXPIRES),
      },
    },
    ...people.map(added),
    ...people.flatMap(later),
    ...Object.keys(sambaGroups).map(name => ({
      add: groupDn(name),
      attributes: { objectClass: 'group', sAMAccountName: name.replaceAll(/[,&()]/g, '') },
    })),
    ...Object.entries(sambaGroups).map(([name, members]) => ({ join: groupDn(name), members })),
    { join: `CN=Protected Users,CN=Users,${sambaBaseDn}`, members: [sambaPeople.protected.dn] },
    { replace: sambaPeople.primary.dn, attributes: { primaryGroupID: { ridOf: groupDn('readers') } } },
    passwordSettings('Expires soon', 1, sambaPeople.expiresSoon, {
      'msDS-MaximumPasswordAge': interval(expiresSoonMs),
      'msDS-LockoutThreshold': String(sambaDomain.lockoutThreshold),
    }),
    passwordSettings('Patient', 2, sambaPeople.patient, {
      'msDS-MaximumPasswordAge': interval(3_650 * 86_400_000),
      'msDS-LockoutThreshold': String(patientThreshold),
    }),
  ]
}

function added({ dn, sam, upn, mail, displayName, password, attributes }: SambaPerson): SeedStep {
  return {
    add: dn,
    attributes: {
      objectClass: 'user',
      sAMAccountName: sam,
      ...(upn !== undefined && { userPrincipalName: upn }),
      ...(mail !== undefined && { mail }),
      ...(displayName !== undefined && { displayName }),
      unicodePwd: unicodePassword(password),
      userAccountControl: String(NORMAL),
      ...attributes,
    },
  }
}

/** Times that adding a user overwrites. */
function later({ dn, passwordSetAt, lockedAt }: SambaPerson): SeedStep[] {
  return [
    ...(passwordSetAt === undefined
      ? []
      : [{ replace: dn, attributes: { pwdLastSet: passwordSetAt }, passwordSetAt: true } as const]),
    ...(lockedAt === undefined ? [] : [{ replace: dn, attributes: { lockoutTime: lockedAt } }]),
  ]
}

/** A fine-grained password policy ([MS-ADTS] section 3.1.1.1.11) for one person. */
function passwordSettings(
  name: string,
  precedence: number,
  { dn }: SambaPerson,
  settings: Readonly<Record<string, string>>,
): SeedStep {
  return {
    add: `CN=${name},CN=Password Settings Container,CN=System,${sambaBaseDn}`,
    attributes: {
      objectClass: 'msDS-PasswordSettings',
      'msDS-PasswordSettingsPrecedence': String(precedence),
      'msDS-PasswordReversibleEncryptionEnabled': 'FALSE',
      'msDS-PasswordHistoryLength': '0',
      'msDS-PasswordComplexityEnabled': 'FALSE',
      'msDS-MinimumPasswordLength': '4',
      'msDS-MinimumPasswordAge': '0',
      'msDS-LockoutObservationWindow': interval(30 * 60_000),
      'msDS-LockoutDuration': interval(3_650 * 86_400_000),
      'msDS-PSOAppliesTo': dn,
      ...settings,
    },
  }
}

/** A password as Active Directory takes it ([MS-ADTS] section 3.1.1.3.1.5). */
export function unicodePassword(password: string): { readonly base64: string } {
  return { base64: Buffer.from(`"${password}"`, 'utf16le').toString('base64') }
}

/** A time span as Active Directory stores it: negative, in hundreds of nanoseconds. */
function interval(ms: number): string {
  return String(-BigInt(ms) * 10_000n)
}
