/** F38–F42: plugins, the system under the daemon, its probes, its service account, groups. */
import { writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Attribute, Change, Client } from 'ldapts'
import t from 'tap'
import { corpPeople } from '../support/corp.ts'
import { startDaemon } from '../support/daemon.ts'
import { bindResponse, searchDone, searchEntry } from '../support/ldap-message.ts'
import { startSlapd } from '../support/slapd.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { openDescriptors, ownMs, peakBytes } from '../support/vitals.ts'
import { attemptsOf, newFolder, openScene } from './harness.ts'
import { countOf, holdInvariants } from './invariants.ts'
import { RUDE_NAMES, RUDE_PLUGIN } from './rude-plugin.ts'
import { directory, onSearch, onUserBind, openScriptedScene } from './scripted-scene.ts'

const { alice, bob } = corpPeople
const people = [alice, bob]
const slapd = await startSlapd(t)
const tls = { ca_file: slapd.caFile }
const MEBIBYTE = 1024 * 1024

t.test(
  'F38 a plugin that throws, hangs, answers twice or answers anything but an acceptance accepts nobody',
  async t => {
    const file = join(newFolder(), 'rude.js')
    writeFileSync(file, RUDE_PLUGIN)
    const rude = { id: 'rude', type: file, username_filter: ['rude-*'], timeout: '300ms' }
    const scene = await openScene(t, {
      corp: { urls: [slapd.ldapsUrl], tls },
      before: [rude],
      config: { plugins: [file] },
    })
    t.ok(RUDE_NAMES.length > 15)
    await scene.fault(async () => {
      for (const uid of RUDE_NAMES) {
        const { status } = await scene.login({ uid, password: 'not used' }, 'wrong')
        t.equal(status, 503, uid)
      }
      const beside = await attemptsOf(scene, alice, 4, 1)
      t.equal(countOf(beside, 200), beside.length, 'others do not notice')
    })
    const slips = scene.daemon.lines.filter(({ event }) => event === 'sys_crash')
    t.match(
      slips,
      [{ level: 'error', at: [/rude\.js/] }],
      'a promise that it let go of is told, and ends nothing',
    )
    await holdInvariants(t, scene, { people, slips: 1 })
  },
)

t.test('F39 a daemon that has no descriptor left sheds, accepts nobody for it, and comes back', async t => {
  const proxy = await startTcpProxy(t, { port: slapd.ldapsPort })
  const scene = await openScene(t, {
    corp: { urls: [`ldaps://localhost:${proxy.port}`], tls },
    prefix: ['prlimit', '--nofile=80:80'],
  })
  const pid = scene.daemon.process.pid ?? 0
  const sockets: Socket[] = []
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
  })
  const { hostname, port } = new URL(scene.daemon.url)
  for (let count = 1; count <= 120; count++) {
    const socket = connect(Number(port), hostname)
    sockets.push(socket.on('error', () => {}))
    await new Promise(resolve => socket.once('connect', resolve).once('error', resolve))
  }
  // The daemon takes them on in its own time.
  for (const until = performance.now() + 5_000; openDescriptors(pid) < 75; await pause(20)) {
    if (performance.now() > until) break
  }
  t.ok(openDescriptors(pid) >= 75, `${openDescriptors(pid)} of 80 descriptors are in use`)
  // The directory has to be dialled anew, and there is nothing to do it with.
  proxy.cut('rst')
  let shed = 0
  for (let attempt = 1; attempt <= 12; attempt++) {
    const right = attempt % 2 === 0
    // Undefined: not even the connection to the daemon came about.
    const made = await scene.login(alice, right ? 'right' : 'wrong').catch(() => undefined)
    if (made === undefined || made.status === 503) shed++
    if (right) t.not(made?.status, 401, 'a right password is not called wrong')
  }
  t.equal(shed, 12, 'nobody got a verdict')
  for (const socket of sockets) socket.destroy()
  await scene.fault(async () => {})
  await holdInvariants(t, scene, { people, starved: true })
})

t.test('F39 a daemon on a tenth of a processor is slow, and nothing else', async t => {
  const scene = await openScene(t, { corp: { urls: [slapd.ldapsUrl], tls }, deadlineMs: 4_000 })
  const { process } = scene.daemon
  let starving = true
  const starve = (async () => {
    while (starving) {
      process.kill('SIGSTOP')
      await pause(90)
      process.kill('SIGCONT')
      await pause(10)
    }
  })()
  t.teardown(() => process.kill('SIGCONT'))
  await scene.fault(
    async () => {
      const made = await Promise.all(Object.values(corpPeople).map(person => scene.login(person)))
      // Late is an outage; wrong it is not.
      t.ok(made.every(({ status }) => status === 200 || status === 503))
      t.equal((await scene.login(alice)).status, 200)
    },
    async () => {
      starving = false
      await starve
    },
  )
  await holdInvariants(t, scene, { people, starved: true })
})

t.test('F39 a daemon with little memory serves a crowd', async t => {
  const scene = await openScene(t, {
    corp: { urls: [slapd.ldapsUrl], tls },
    deadlineMs: 4_000,
    env: { NODE_OPTIONS: '--max-old-space-size=48' },
  })
  await scene.fault(async () => {
    for (let round = 1; round <= 10; round++) {
      const made = await Promise.all(Object.values(corpPeople).map(person => scene.login(person)))
      t.equal(countOf(made, 200), made.length, `round ${round}`)
    }
    const peak = peakBytes(scene.daemon.process.pid ?? 0)
    t.ok(peak < 256 * MEBIBYTE, `in ${Math.round(peak / MEBIBYTE)} MiB`)
  })
  await holdInvariants(t, scene, { people, starved: true })
})

t.test('F40 while LDAP is down the daemon is alive, and ready as long as somebody can log in', async t => {
  const proxy = await startTcpProxy(t, { port: slapd.ldapsPort })
  const urls = [`ldaps://localhost:${proxy.port}`]
  const scene = await openScene(t, { corp: { urls, tls } })
  const statusOf = async (url: string) => (await fetch(url, { headers: { connection: 'close' } })).status
  await scene.fault(
    async () => {
      await proxy.refuse()
      proxy.cut('rst')
      await attemptsOf(scene, alice)
      t.equal(await statusOf(`${scene.daemon.url}/livez`), 200)
      t.equal(await statusOf(`${scene.daemon.url}/readyz`), 200, 'local users can log in')
      const details = await (await fetch(`${scene.daemon.adminUrl}/readyz`)).json()
      t.match(details, {
        backends: [
          { id: 'corp', ok: false, reason: /ECONNREFUSED/ },
          { id: 'local', ok: true },
        ],
      })
    },
    () => proxy.accept(),
  )
  await holdInvariants(t, scene, { people })

  // With nothing but the directory, it is alive and not ready; nobody has reason to restart it.
  await proxy.refuse()
  proxy.cut('rst')
  const cwd = newFolder()
  const [corp] = JSON.parse(scene.configText()).backends
  const config = join(cwd, 'only-ldap.yaml')
  const listener = { host: '127.0.0.1', port: 0 }
  const parts = {
    listen: listener,
    admin: listener,
    database: join(cwd, 'x.db'),
    log: { format: 'json', max_per_second: 1_000_000 },
    backends: [corp],
  }
  writeFileSync(config, JSON.stringify(parts))
  const alone = await startDaemon(t, { config, cwd })
  await alone.authenticate('alice', 'canary')
  while ((await statusOf(`${alone.url}/readyz`)) === 200) await pause(50)
  t.same([await statusOf(`${alone.url}/livez`), await statusOf(`${alone.url}/readyz`)], [200, 503])
  await proxy.accept()
  while ((await statusOf(`${alone.url}/readyz`)) !== 200) await pause(50)
  t.equal(alone.process.exitCode, null)
  await alone.stop()
})

t.test(
  'F41 a service account that is refused is one alarm and one try a minute; a new secret is taken up at once',
  async t => {
    const own = await startSlapd(t)
    const proxy = await startTcpProxy(t, { port: own.ldapsPort })
    const scene = await openScene(t, {
      corp: { urls: [`ldaps://localhost:${proxy.port}`], tls: { ca_file: own.caFile } },
    })
    const serviceBinds = async () => (await own.binds()).filter(({ dn }) => dn === own.serviceDn)
    await scene.fault(
      async () => {
        await setPassword(own.ldapsUrl, own, own.serviceDn, 'rotated-secret-1')
        const before = (await serviceBinds()).length
        proxy.cut('rst')
        await pause(100)
        for (let round = 1; round <= 6; round++) {
          const made = await attemptsOf(scene, alice, 4)
          t.equal(countOf(made, 503), made.length)
          await pause(300)
        }
        const refused = (await serviceBinds()).slice(before)
        t.same(
          refused.map(({ result }) => result),
          [49],
          'one bind with the known-bad secret',
        )
        const alarms = scene.daemon.lines.filter(({ level }) => level === 'fatal')
        t.match(alarms, [{ msg: 'the directory refuses the service account' }])
        t.equal(alarms.length, 1, 'and one alarm')
      },
      () => writeFileSync(join(scene.cwd, 'service-password'), 'rotated-secret-1\n'),
    )
    await holdInvariants(t, scene, { people })
    t.ok(
      scene.daemon.lines.some(({ event }) => event === 'sys_config_reload'),
      'without a restart',
    )
  },
)

t.test(
  'F42 groups that are slow keep a deadline of their own, and whether they are needed is a setting',
  async t => {
    const groups = { required: ['g0'], timeout: '300ms' }
    for (const [whenUnreadable, status] of [
      ['refuse', 503],
      ['omit', 200],
    ] as const) {
      const policy = whenUnreadable === 'omit' ? { timeout: '300ms', when_unreadable: 'omit' } : groups
      const { scene, misbehave } = await openScriptedScene(t, {
        corp: { groups: policy, operation_timeout: '2s' },
        deadlineMs: 2_500,
        well: false,
      })
      await scene.fault(async () => {
        misbehave(
          onSearch(({ id, operation }, connection) => {
            if (operation.type !== 'search') return
            if (operation.base === '') return connection.send(...rootDse(id))
            // The person is found at once, in one group; what that one is in takes for ever.
            if (operation.filter.includes('(member=')) return
            const known = directory.find(({ attributes }) =>
              operation.filter.includes(`(uid=${'uid' in attributes ? attributes.uid : '*'})`),
            )
            if (known === undefined) return connection.send(searchDone(id))
            const entry = { ...known.attributes, memberOf: 'cn=g0,ou=groups,dc=corp,dc=example' }
            return connection.send(searchEntry(id, known.dn, entry), searchDone(id))
          }),
        )
        const made = [await scene.login(alice), await scene.login(bob)]
        await scene.settled()
        t.equal(countOf(made, status), made.length, `${whenUnreadable} ${scene.tale(made)}`)
        if (status === 503) t.match(scene.tale(made), /300 ms/)
        t.ok(
          made.every(({ ms, crowdedMs }) => ownMs(ms, crowdedMs) < 1_500),
          'in their own time',
        )
      }, misbehave)
      await holdInvariants(t, scene, { people: whenUnreadable === 'omit' ? people : [] })
    }
  },
)

t.test(
  'F42 more groups than allowed, or deeper ones, are an outage and never a login with less of them',
  async t => {
    const many = Array.from({ length: 1_200 }, (_, number) => `cn=g${number},ou=groups,dc=corp,dc=example`)
    for (const [what, groups, status] of [
      ['1,200 groups', {}, 200],
      ['more than groups.max allows', { max: 1_000 }, 503],
      ['deeper than groups.max_depth allows', { max_depth: 3 }, 503],
    ] as const) {
      const { scene, misbehave } = await openScriptedScene(t, {
        corp: { groups },
        deadlineMs: 2_000,
        well: false,
      })
      await scene.fault(async () => {
        let depth = 0
        misbehave(
          onSearch(({ id, operation }, connection) => {
            if (operation.type !== 'search') return
            if (operation.base === '') return connection.send(...rootDse(id))
            if (operation.filter.includes('(member=')) {
              // Each level is in one more, without an end.
              const above = `cn=level-${++depth},ou=groups,dc=corp,dc=example`
              const endless = what.startsWith('deeper')
              return connection.send(...(endless ? [searchEntry(id, above, {})] : []), searchDone(id))
            }
            const known = directory.find(({ attributes }) =>
              operation.filter.includes(`(uid=${'uid' in attributes ? attributes.uid : '*'})`),
            )
            if (known === undefined) return connection.send(searchDone(id))
            const memberOf = what.startsWith('deeper') ? many.slice(0, 1) : many
            return connection.send(
              searchEntry(id, known.dn, { ...known.attributes, memberOf }),
              searchDone(id),
            )
          }),
        )
        const made = await scene.login(alice)
        await scene.settled()
        t.equal(made.status, status, `${what} ${scene.tale([made])}`)
        const [cap] = /groups\.max\w* allows/.exec(what) ?? []
        if (cap !== undefined) t.match(scene.stepOf(made)?.detail, `more groups than ${cap}`)
      }, misbehave)
      await holdInvariants(t, scene, { people })
    }
  },
)

t.test('F42 Active Directory cuts a long list of groups into ranges: all of them, or an outage', async t => {
  const guid = Buffer.from('33221100554477668899aabbccddeeff', 'hex')
  const group = (number: number) => `CN=g${number},OU=Groups,dc=corp,dc=example`
  const range = (from: number, to: number, last: boolean) => ({
    [`memberOf;range=${from}-${last ? '*' : to}`]: Array.from({ length: to - from + 1 }, (_, at) =>
      group(from + at),
    ),
  })
  let rest: 'there' | 'refused' = 'there'
  const { scene, misbehave } = await openScriptedScene(t, {
    corp: {
      preset: 'active-directory',
      groups: { nesting: 'direct', required: ['g2999'] },
      lockout_shield: { enabled: false },
    },
    deadlineMs: 2_000,
    well: false,
  })
  await scene.fault(async () => {
    misbehave((request, connection) => {
      const { id, operation } = request
      if (operation.type !== 'search') {
        return onUserBind(({ id }) => connection.send(bindResponse(id)))(request, connection)
      }
      const asked = operation.attributes.find(name => /^memberOf;range=/i.test(name))
      if (asked !== undefined) {
        if (rest === 'refused') return connection.send(searchDone(id, { code: 53 }))
        return connection.send(searchEntry(id, alice.dn, range(1_500, 2_999, true)), searchDone(id))
      }
      if (!operation.filter.toLowerCase().includes('alice')) return connection.send(searchDone(id))
      const entry = { sAMAccountName: 'alice', objectGUID: guid, userAccountControl: '512', memberOf: [] }
      return connection.send(
        searchEntry(id, alice.dn, { ...entry, ...range(0, 1_499, false) }),
        searchDone(id),
      )
    })
    t.match(await scene.login(alice), { status: 200 }, 'a member of the last one of 3,000')
    rest = 'refused'
    t.match(await scene.login(alice), { status: 503 }, 'without the rest nobody knows')
  }, misbehave)
  await holdInvariants(t, scene, { people: [] })
})

/** What a server says of itself, as far as it is asked here. */
function rootDse(id: number): Buffer[] {
  return [searchEntry(id, '', { namingContexts: 'dc=corp,dc=example' }), searchDone(id)]
}

async function setPassword(
  url: string,
  { adminDn, adminPassword }: { readonly adminDn: string; readonly adminPassword: string },
  dn: string,
  password: string,
): Promise<void> {
  const client = new Client({ url, timeout: 5_000, tlsOptions: { rejectUnauthorized: false } })
  await client.bind(adminDn, adminPassword)
  const modification = new Attribute({ type: 'userPassword', values: [password] })
  await client.modify(dn, new Change({ operation: 'replace', modification }))
  await client.unbind()
}
