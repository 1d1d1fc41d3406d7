/** What the schema cannot say: rules across sections (config.md, Rules). */

import { OPERATOR } from '../authentication/caller.ts'
import { checkAudit } from './audit-rules.ts'
import { checkNetwork, checkNetworks, type Ground } from './ground.ts'
import { checkLockout } from './lockout-rules.ts'
import { isLoopback, isWildcard } from './network.ts'
import { keySpanOf, spanOf } from './places.ts'
import type { ConfigValues } from './schema.ts'
import { didYouMean } from './suggest.ts'

type Client = ConfigValues['clients'][number]
type Backend = ConfigValues['backends'][number]

/** Reports every broken rule of which the values are sound. */
export function applyRules(ground: Ground): void {
  checkListeners(ground)
  checkCallers(ground)
  checkNetworks(ground.values.trusted_proxies, '/trusted_proxies', ground)
  checkClients(ground)
  checkBackends(ground)
  checkChecks(ground)
  checkLockout(ground)
  checkAudit(ground)
}

function checkListeners({ values, places, report, sound }: Ground): void {
  const { listen, admin } = values
  if (sound('/admin/host') && !isLoopback(admin.host)) {
    const hint = 'whoever reaches it acts as an operator; keep it on 127.0.0.1'
    report.warning(spanOf(places, '/admin/host'), 'the admin listener is open beyond this machine', hint)
  }
  if (sound('/listen/host') && sound('/listen/tls') && !isLoopback(listen.host) && !listen.tls) {
    const hint = 'set `listen.tls`, unless a proxy on a trusted network does TLS'
    report.warning(
      spanOf(places, '/listen/host'),
      'passwords come in without TLS from beyond this machine',
      hint,
    )
  }
  if (!sound('/listen') || !sound('/admin') || listen.port !== admin.port || listen.port === 0) return
  if (listen.host !== admin.host && !isWildcard(listen.host) && !isWildcard(admin.host)) return
  const at = places.has('/admin/port') ? '/admin/port' : '/listen/port'
  report.error(spanOf(places, at), 'both listeners have this address and port', 'give them different ports')
}

function checkCallers({ values, places, report, sound }: Ground): void {
  if (!['/listen/host', '/clients', '/allow_anonymous_clients'].every(sound)) return
  if (values.clients.length > 0 && values.allow_anonymous_clients) {
    const hint = 'remove it, or remove `clients`'
    report.warning(spanOf(places, '/allow_anonymous_clients'), 'this has no effect beside `clients`', hint)
  }
  if (isLoopback(values.listen.host)) return
  if (values.clients.length > 0 || values.allow_anonymous_clients) return
  report.error(
    spanOf(places, '/listen/host'),
    'listening beyond this machine without `clients`',
    'list the apps under `clients`, or set `allow_anonymous_clients: true`',
  )
}

function checkClients(ground: Ground): void {
  const { values, places, report, sound } = ground
  if (!Array.isArray(values.clients)) return
  checkUnique(values.clients, '/clients', ground)
  const owners = new Map<string, number>()
  for (const [index, client] of values.clients.entries()) {
    const pointer = `/clients/${index}`
    if (client?.id === OPERATOR) {
      const hint = 'choose another id: operators are written down under this one'
      report.error(spanOf(places, `${pointer}/id`), 'this id is the daemon’s own', hint)
    }
    if (sound(`${pointer}/backends`)) checkClientBackends(client, pointer, ground)
    if (!IDENTITIES.every(key => sound(`${pointer}/${key}`))) continue
    checkIdentity(client, pointer, ground)
    const identity = client.key_sha256?.toLowerCase() ?? client.tls_subject ?? client.cidr
    const span = spanOf(places, `${pointer}/${IDENTITIES.find(key => client[key] !== undefined) ?? 'id'}`)
    if (identity === undefined || !span) continue
    const owner = owners.get(identity)
    if (owner)
      report.error(span, `the app in line ${owner} is recognised by the same`, 'give each app its own')
    owners.set(identity, owner ?? report.lineOf(span))
  }
}

const IDENTITIES = ['key_sha256', 'tls_subject', 'cidr'] as const

function checkIdentity(client: Client, pointer: string, ground: Ground): void {
  const { values, places, report, sound } = ground
  const [first, second] = IDENTITIES.filter(key => client[key] !== undefined)
  const choice = 'give exactly one of `key_sha256`, `key_sha256_file`, `tls_subject` and `cidr`'
  if (!first) report.error(spanOf(places, pointer), 'nothing says how this app is recognised', choice)
  if (second) {
    const message = `this app is already recognised by \`${first}\``
    report.error(keySpanOf(places, `${pointer}/${second}`), message, choice)
  }
  if (client.cidr !== undefined) checkNetwork(client.cidr, `${pointer}/cidr`, ground)
  if (client.tls_subject !== undefined && sound('/listen/tls') && !values.listen.tls?.client_ca_file) {
    const hint = 'name the authority of the client certificates there'
    report.error(
      spanOf(places, `${pointer}/tls_subject`),
      '`tls_subject` needs `listen.tls.client_ca_file`',
      hint,
    )
  }
}

function checkClientBackends(client: Client, pointer: string, { values, places, report }: Ground): void {
  if (!Array.isArray(values.backends)) return
  const ids = values.backends.map(backend => backend?.id).filter(id => typeof id === 'string')
  for (const [index, id] of (client?.backends ?? []).entries()) {
    if (ids.includes(id)) continue
    report.error(
      spanOf(places, `${pointer}/backends/${index}`),
      'no backend has this id',
      didYouMean(id, ids),
    )
  }
}

function checkBackends(ground: Ground): void {
  const { values, places, report, sound } = ground
  if (!Array.isArray(values.backends)) return
  checkUnique(values.backends, '/backends', ground)
  checkTimeouts(ground)
  checkTiming(ground)
  if (!values.backends.every((_, index) => sound(`/backends/${index}`))) return
  const enabled = [...values.backends.entries()].filter(([, { enabled }]) => enabled)
  const last = enabled.filter(([, { deny }]) => !deny).at(-1)
  if (!last) {
    const message = whyNobody(values.backends.length, enabled.length)
    report.error(
      places.get('/backends')?.key,
      `${message}: nobody could log in`,
      'add one, such as `- { id: local, type: local }`',
    )
  } else if (last[1].on.accept === 'continue') {
    const message = 'nothing comes after this backend that could accept as well: nobody could log in'
    report.error(
      spanOf(places, `/backends/${last[0]}/on/accept`),
      message,
      'remove `accept: continue` from the last backend',
    )
  }
}

function checkChecks({ values, places, report, sound }: Ground): void {
  if (!Array.isArray(values.checks) || !Array.isArray(values.backends)) return
  const ids = values.backends.map(backend => backend?.id).filter(id => typeof id === 'string')
  for (const [index, { backend: id, expect }] of values.checks.entries()) {
    const pointer = `/checks/${index}`
    if (!sound(pointer)) continue
    const at = spanOf(places, `${pointer}/backend`)
    const enabled = values.backends.find(backend => backend?.id === id)?.enabled
    if (enabled === undefined) report.error(at, 'no backend has this id', didYouMean(id, ids))
    else if (!enabled)
      report.error(at, 'this backend is not enabled', 'remove the check, or enable the backend')
    if (!expect.found && expect.groups.length + expect.roles.length > 0) {
      const hint = 'leave out `groups` and `roles`, or `found: false`'
      report.error(
        spanOf(places, `${pointer}/expect/found`),
        'who must not be found has no groups and roles',
        hint,
      )
    }
  }
}

function whyNobody(all: number, enabled: number): string {
  if (enabled > 0) return 'every backend is a deny list'
  return all > 0 ? 'no backend is enabled' : 'there is no backend'
}

/** In milliseconds. Below the minute that the lockout holds a place for an attempt that never ends. */
const LONGEST_DEADLINE_MS = 30_000

function checkTimeouts({ values, places, report, sound }: Ground): void {
  if (!sound('/deadline')) return
  if (values.deadline > LONGEST_DEADLINE_MS) {
    report.error(spanOf(places, '/deadline'), 'expected at most `30s`', 'nobody waits that long for a login')
  }
  for (const [index, backend] of values.backends.entries()) {
    const pointer = `/backends/${index}/timeout`
    if (!places.has(pointer) || !sound(pointer) || backend.timeout <= values.deadline) continue
    report.warning(
      spanOf(places, pointer),
      'longer than the `deadline` of a whole attempt',
      'the deadline ends it first',
    )
  }
}

/** In milliseconds. */
const LONGEST = { floor: 3_000, jitter: 1_000 } as const

function checkTiming({ values, places, report, sound }: Ground): void {
  for (const key of ['floor', 'jitter'] as const) {
    const pointer = `/timing/${key}`
    if (!sound(pointer) || values.timing[key] <= LONGEST[key]) continue
    report.error(spanOf(places, pointer), `expected at most \`${LONGEST[key] / 1000}s\``)
  }
  const at = '/timing/floor'
  // What nobody set gives way to the deadline.
  if (!places.has(at) || !sound(at) || !sound('/deadline') || values.timing.floor < values.deadline) return
  report.error(
    spanOf(places, at),
    'not below the `deadline` of a whole attempt',
    'lower the floor, or raise the deadline',
  )
}

function checkUnique(
  items: readonly (Client | Backend)[],
  pointer: string,
  { places, report }: Ground,
): void {
  const lines = new Map<string, number>()
  for (const [index, item] of items.entries()) {
    const span = spanOf(places, `${pointer}/${index}/id`)
    if (typeof item?.id !== 'string' || !span) continue
    const line = lines.get(item.id)
    if (line !== undefined) report.error(span, `this id is already taken in line ${line}`, 'ids are unique')
    lines.set(item.id, line ?? report.lineOf(span))
  }
}
