/** Who is measured beside the daemon, the quickest programs first. */
import type { Contender } from '../contender.ts'
import { apache, apacheCached } from './apache.ts'
import { django } from './django.ts'
import { dovecot } from './dovecot.ts'
import { freeradius } from './freeradius.ts'
import { ldapAuthentication, ldapauthFork } from './node-libraries.ts'

/** They ask the directory for each login. */
export const peers: readonly Contender[] = [
  freeradius,
  apache,
  dovecot,
  ldapauthFork,
  ldapAuthentication,
  django,
]

/** They do not: they keep passwords. Ask them for everybody once before it counts. */
export const keepers: readonly Contender[] = [apacheCached]
