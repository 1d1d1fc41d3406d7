/** Who is measured beside the daemon, the quickest programs first. */
import type { Contender } from '../contender.ts'
import { apache, apacheCached } from './apache.ts'
import { django } from './django.ts'
import { dovecot } from './dovecot.ts'
import { freeradius } from './freeradius.ts'
import { ldapAuthentication, ldapauthFork } from './node-libraries.ts'

export const peers: readonly Contender[] = [
  freeradius,
  apache,
  apacheCached,
  dovecot,
  ldapauthFork,
  ldapAuthentication,
  django,
]
