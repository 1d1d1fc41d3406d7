/** Why a TLS connection to a server did not come about, in words for operators: one place for the log and for `doctor`. */
import type { X509Certificate } from 'node:crypto'
import { type Explanation, reasonOf } from './failure.ts'
import { ALLOW_OLDER, explainAlert } from './tls-alert.ts'
import { isNamesake, oneLine, trustedAbove } from './trusted.ts'

/** A certificate as a server showed it. */
export interface PresentedCertificate {
  readonly subject: string
  readonly issuer: string
  /** Names and addresses it is for. */
  readonly names: readonly string[]
  /** Milliseconds since the Unix epoch. */
  readonly validFromMs: number
  readonly validToMs: number
}

/** A handshake that succeeded. */
export interface TlsSession {
  /** Such as `TLSv1.3`. */
  readonly version: string
  /** The server's own certificate first. */
  readonly chain: readonly PresentedCertificate[]
  /** Whether we had one to show. */
  readonly clientCertificate: boolean
}

/** What is known of the attempt, as far as it got. */
export interface TlsAttempt {
  /** What the certificate must be for. */
  readonly name?: string | undefined
  /** The server's own certificate first, then those of its CAs that it sent along. */
  readonly chain?: readonly PresentedCertificate[]
  /** Whether `tls.ca_file` says whom to trust. */
  readonly ownCa?: boolean
  /** What it says, and the path of it. */
  readonly ca?: string | undefined
  readonly caFile?: string | undefined
  readonly minVersion?: string
  /** `tls.servername`, which is then the name. */
  readonly servername?: string | undefined
  /** Where the server is named, for who is to mend it; "`urls`" if nothing is said. */
  readonly namedIn?: string | undefined
}

/** Code of our own refusal of a certificate that names nobody. */
export const NO_ALTERNATIVE_NAMES = 'NO_ALTERNATIVE_NAMES'

/** Code of an end that the other side made, in order or not. */
export const HUNG_UP = 'ECONNRESET'

/** Codes of a certificate whose issuer is not among those that are trusted. */
const UNTRUSTED: ReadonlySet<string> = new Set([
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
])

/** Longer chains are nobody's. */
const MAX_CHAIN = 10
const MAX_NAMES = 8

/** One line of it. */
export function tellExplanation({ reason, advice }: Explanation): string {
  return advice === undefined ? reason : `${reason}: ${advice}`
}

/** The certificate and those above it that came with it. */
export function readChain(certificate: X509Certificate | undefined): readonly PresentedCertificate[] {
  const chain: PresentedCertificate[] = []
  let current = certificate
  while (current && chain.length < MAX_CHAIN) {
    chain.push({
      // Without a subject Node gives undefined, whatever its types say.
      subject: oneLine(current.subject ?? ''),
      issuer: oneLine(current.issuer ?? ''),
      names: (current.subjectAltName ?? '')
        .split(', ')
        .filter(Boolean)
        .map(name => oneLine(name).replace(/^(DNS|IP Address):/, '')),
      validFromMs: current.validFromDate.getTime(),
      validToMs: current.validToDate.getTime(),
    })
    const issuer: X509Certificate | undefined = current.issuerCertificate
    current = issuer?.fingerprint256 === current.fingerprint256 ? undefined : issuer
  }
  return chain
}

/**
 * What a failure of TLS means and what to do about it: which name was expected and which the certificate carries, whose
 * certificate is missing, what has expired and when, who speaks a protocol too old.
 *
 * @param error of the handshake, or later: a server that does not like our certificate may say so after it (RFC 8446 section 6.2)
 */
export function explainTls(error: unknown, attempt: TlsAttempt = {}): Explanation {
  const code = codeOf(error)
  return (
    explainCertificate(code, attempt) ??
    explainAlert(code, attempt) ??
    explainSilence(code, attempt) ?? { reason: reasonOf(error) || 'the TLS handshake failed' }
  )
}

/**
 * What is known of the end of a connection whose handshake had succeeded on our side: with TLS 1.3 a server judges our
 * certificate only then (RFC 8446 section 2), and not every server says that it refuses it.
 *
 * @param answered whether the server had said anything yet
 */
export function explainEnd(
  error: unknown,
  session: TlsSession | undefined,
  answered: boolean,
): Explanation | undefined {
  if (codeOf(error).startsWith('ERR_SSL_')) return explainTls(error)
  if (answered || session === undefined || codeOf(error) !== HUNG_UP) return undefined
  if (!session.clientCertificate) {
    // Up to TLS 1.2 the handshake would have failed.
    if (session.version !== 'TLSv1.3') return undefined
    return {
      reason: `the server hung up before it said anything (${reasonOf(error)})`,
      advice: 'it may want a client certificate: `tls.cert_file` and `tls.key_file`',
    }
  }
  return {
    reason: `the server hung up on our client certificate before it said anything (${reasonOf(error)})`,
    advice: 'is `tls.cert_file` valid, issued by a CA that the server trusts, and with its chain?',
  }
}

function explainCertificate(code: string, attempt: TlsAttempt): Explanation | undefined {
  const { name = 'it', chain = [], ownCa, ca, caFile, servername, namedIn = '`urls`' } = attempt
  const [own] = chain
  const top = chain.at(-1)
  if (code === 'CERT_SIGNATURE_FAILURE' || (UNTRUSTED.has(code) && top && isNamesake(top.issuer, ca))) {
    return explainNamesake(code, top?.issuer ?? 'unknown', caFile)
  }
  const trust = ownCa ? 'tls.ca_file' : 'the list of CAs that Node.js trusts'
  switch (code) {
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return {
        reason: `the certificate does not match the name: it is for ${listed(own?.names)}, and not for ${name}`,
        advice: servername
          ? 'correct `tls.servername`, or take it out where the name that is dialled is in the certificate'
          : `use one of its names in ${namedIn}, or say in \`tls.servername\` which one to expect`,
      }
    case NO_ALTERNATIVE_NAMES:
      return {
        reason: `the certificate has no subjectAltName, so it is not one for ${name}`,
        advice: 'have a certificate issued that carries its names there: a CN counts for nothing',
      }
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
      return {
        reason: `the certificate of the server is self-signed (${own?.subject ?? 'unnamed'}) and not in ${trust}`,
        advice: 'put this very certificate into `tls.ca_file`, or have one issued by a CA',
      }
    case 'SELF_SIGNED_CERT_IN_CHAIN':
      return {
        reason: `the certificate comes from the CA "${top?.subject ?? 'unnamed'}", which is not in ${trust}`,
        advice: "put that CA's certificate into `tls.ca_file`",
      }
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
      return {
        reason: `the certificate was issued by "${top?.issuer ?? 'unknown'}", and no certificate of that CA is in ${trust}`,
        advice: `put the certificate of "${top?.issuer ?? 'that CA'}" into \`tls.ca_file\`, or have the server send its chain`,
      }
    case 'CERT_HAS_EXPIRED':
      return explainExpired(attempt)
    case 'CERT_NOT_YET_VALID': {
      const [late] = [...chain].sort((a, b) => b.validFromMs - a.validFromMs)
      if (late && late.validFromMs <= Date.now()) {
        return { reason: `a CA in ${trust} is not valid yet`, advice: 'one of the two clocks may be wrong' }
      }
      return {
        reason: `the certificate of "${late?.subject ?? 'the server'}" is not valid ${when(late?.validFromMs, 'before')}`,
        advice: 'one of the two clocks may be wrong',
      }
    }
    case 'INVALID_PURPOSE':
      return {
        reason: `the certificate of "${own?.subject ?? 'the server'}" is not one for servers`,
        advice: 'have one issued with the extended key usage serverAuth',
      }
    default:
      return undefined
  }
}

/** Of what the server sent, or of the CAs that are trusted: it is said of both with the same code. */
function explainExpired({ chain = [], ownCa, ca, caFile }: TlsAttempt): Explanation {
  const nowMs = Date.now()
  // What shows no date may be the one.
  const past = chain.filter(({ validToMs }) => !(validToMs >= nowMs))
  const [expired] = past.sort((a, b) => a.validToMs - b.validToMs)
  if (expired !== undefined || chain.length === 0) {
    return {
      reason: `the certificate of "${expired?.subject ?? 'the server'}" expired ${when(expired?.validToMs)}`,
      advice: 'renew it on the server',
    }
  }
  if (!ownCa) {
    const reason = 'a CA in the list of CAs that Node.js trusts has expired'
    return { reason, advice: 'update Node.js, or put the CA that is meant into `tls.ca_file`' }
  }
  const old = trustedAbove(chain.at(-1)?.issuer ?? '', ca).find(({ validToMs }) => validToMs < nowMs)
  const which = old === undefined ? 'a CA' : `the CA "${old.subject}"`
  return {
    reason: `${which} in tls.ca_file has expired${old === undefined ? '' : `, ${when(old.validToMs)}`}`,
    advice: `put its new certificate into \`tls.ca_file\`${caFile === undefined ? '' : ` (${caFile})`}`,
  }
}

/** The CA is trusted by its name, and yet the certificate is not. */
function explainNamesake(code: string, issuer: string, caFile?: string): Explanation {
  const file = caFile === undefined ? '`tls.ca_file`' : `\`tls.ca_file\` (${caFile})`
  if (code === 'UNABLE_TO_GET_ISSUER_CERT') {
    return {
      reason: `tls.ca_file has the CA "${issuer}", but not the root CA above it`,
      advice: `put the root CA into ${file}, too`,
    }
  }
  return {
    reason: `the CA "${issuer}" in tls.ca_file is another CA of the same name: its key has not signed this certificate`,
    advice: `put the CA that has signed it into ${file}`,
  }
}

/**
 * A domain controller without a certificate listens on 636 and hangs up; so does GnuTLS, which Samba and Debian's slapd use, on
 * whoever wants a newer version than it is allowed to speak.
 */
function explainSilence(code: string, { minVersion }: TlsAttempt): Explanation | undefined {
  if (code !== HUNG_UP) return undefined
  const others = 'it may have no certificate for LDAP, or want a client certificate (`tls.cert_file`)'
  return {
    reason: 'the server hung up during the TLS handshake',
    advice: minVersion === 'TLSv1.3' ? `does it speak TLS 1.3? If not, ${ALLOW_OLDER}; or ${others}` : others,
  }
}

function listed(names: readonly string[] = []): string {
  if (names.length === 0) return 'other names'
  const shown = names.slice(0, MAX_NAMES).join(', ')
  return names.length > MAX_NAMES ? `${shown} and ${names.length - MAX_NAMES} more` : shown
}

function when(ms: number | undefined, word: 'on' | 'before' = 'on'): string {
  return ms === undefined || Number.isNaN(ms) ? 'at a time unknown' : `${word} ${new Date(ms).toISOString()}`
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}
