/** F10–F14: a directory that speaks LDAP badly, or something else. */
import { setTimeout as pause } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { corpPeople } from '../support/corp.ts'
import { bindResponse, noticeOfDisconnection, searchDone, searchEntry } from '../support/ldap-message.ts'
import type { LdapServerConnection, ReceivedRequest } from '../support/ldap-server.ts'
import { forgetPeak, loopCpuMs, peakBytes, percentile } from '../support/vitals.ts'
import { attemptsOf, LOCAL, POOL } from './harness.ts'
import { countOf, holdInvariants } from './invariants.ts'
import { behave, directory, onSearch, onUserBind, openScriptedScene, type Script } from './scripted-scene.ts'

const { alice, bob } = corpPeople
const people = [alice, bob]
const MEBIBYTE = 1024 * 1024

t.test('F10 answers cut at every octet, and many of them in one segment, are put together again', async t => {
  const { scene, misbehave } = await openScriptedScene(t)
  const entry = directory.find(({ dn }) => dn === alice.dn) ?? { dn: '', attributes: {} }
  const found = (id: number) => Buffer.concat([searchEntry(id, entry.dn, entry.attributes), searchDone(id)])
  let cut = 0
  const splitting: Script = (request, connection) => {
    const { id, operation } = request
    if (operation.type === 'search') return connection.sendSplit(found(id), [cut, 10_000])
    if (operation.type === 'bind') return connection.sendSplit(bindResponse(id), [cut, 10_000])
    return behave(request, connection)
  }
  await scene.fault(async () => {
    misbehave(splitting)
    const longest = found(100_000).length
    let split = 0
    for (cut = 1; cut <= longest; cut++) {
      const { status } = await scene.login(alice)
      if (status === 200) split++
    }
    t.equal(split, longest, `each of ${longest} places to cut at`)
    for (const sizes of [[1], [2, 1], [7]]) {
      misbehave((request, connection) => {
        const { id, operation } = request
        if (operation.type === 'search') return connection.sendSplit(found(id), sizes)
        if (operation.type === 'bind') return connection.sendSplit(bindResponse(id), sizes)
        return behave(request, connection)
      })
      t.match(await scene.login(alice), { status: 200 }, `in pieces of ${sizes}`)
    }
  }, misbehave)
  await holdInvariants(t, scene, { people })
})

t.test('F11 garbage ends the connection and costs less than 50 ms of CPU per frame', async t => {
  // Each frame costs a connection, and how many there may be in a second goes by the pools.
  const corp = { operation_timeout: '200ms', pool: { ...POOL, bind: 48 } }
  const { scene, misbehave } = await openScriptedScene(t, { corp })
  const seed = Date.now() % 2 ** 31
  t.comment(`seed ${seed}`)
  const yes = bindResponse(2)
  const mutated = fc
    .array(fc.tuple(fc.nat(yes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 })
    .map(changes => {
      const copy = Buffer.from(yes)
      for (const [at, octet] of changes) copy[at] = octet
      // A yes that is still one would be believed, and rightly so.
      return copy[0] === 0x30 && copy[5] === 0x61 ? copy.fill(0xff, 5, 6) : copy
    })
  const known = [
    '3000',
    '30050201026100',
    '300b020102640604003 07f0400',
    '3084ffffffff',
    '308002010261070a010004000400',
  ]
  const frames = [
    ...fc.sample(fc.oneof(mutated, fc.uint8Array({ minLength: 1, maxLength: 64 })), { numRuns: 60, seed }),
    ...known.map(hex => Buffer.from(hex.replaceAll(' ', ''), 'hex')),
    Buffer.alloc(65_536, 0x30),
    Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'),
  ]
  const pid = scene.daemon.process.pid ?? 0
  /** What each of so many failing logins takes of the processor, in milliseconds. */
  async function costsOf(attempts: number): Promise<number[]> {
    const costs: number[] = []
    for (let attempt = 0; attempt < attempts; attempt++) {
      const before = loopCpuMs(pid)
      const { status } = await scene.login(attempt % 2 ? alice : bob, attempt % 3 ? 'wrong' : 'right')
      costs.push(loopCpuMs(pid) - before)
      if (status !== 503) t.fail(`answered ${status}`)
    }
    return costs
  }
  const spoilt: LdapServerConnection[] = []
  const garbage = onUserBind((_, connection) => {
    connection.send(Buffer.from(frames[spoilt.length % frames.length] ?? ''))
    spoilt.push(connection)
  })
  misbehave(onUserBind(({ id }, connection) => connection.send(bindResponse(id, { code: 53 }))))
  const refused = percentile(await costsOf(frames.length), 0.5)
  misbehave(garbage)
  const dearest = Math.max(...(await costsOf(frames.length)))
  t.ok(dearest - refused < 50, `${dearest - refused} ms of CPU for the dearest frame more than for a refusal`)
  // Once more, with others who would notice; what they take of the processor would have been in those figures.
  await scene.fault(() => costsOf(frames.length), misbehave)
  t.equal(spoilt.length, 2 * frames.length, 'every frame was read')
  const open = new Set(spoilt)
  const ends = spoilt.map(connection => connection.closed.then(() => open.delete(connection)))
  await Promise.race([Promise.all(ends), pause(scene.deadlineMs)])
  t.equal(open.size, 0, 'and ended its connection')
  await holdInvariants(t, scene, { people })
})

t.test('F12 two gigabytes announced, an indefinite length and a nested bomb take no memory', async t => {
  // A small nursery: what is no longer needed in it is not the bombs'.
  const env = { NODE_OPTIONS: '--max-semi-space-size=1' }
  const { scene, misbehave } = await openScriptedScene(t, { env })
  const nested = Buffer.concat(
    Array.from({ length: 20_000 }, (_, depth) => {
      const header = Buffer.from('308400000000', 'hex')
      header.writeUInt32BE((20_000 - depth - 1) * 6, 2)
      return header
    }),
  )
  // More behind each header than may be kept of it.
  const flood = Buffer.alloc(16 * MEBIBYTE, 0x30)
  const bombs: readonly (readonly [RegExp, Buffer])[] = [
    [/a message of 2147483653 octets is too long/, Buffer.from('30847fffffff', 'hex')],
    [/a length is not definite or absurd/, Buffer.from('3080', 'hex')],
    [/it is no LDAP message/, nested],
  ]
  const pid = scene.daemon.process.pid ?? 0
  /** The most memory that was in use while logins failed so, with local ones beside them, which need some, too. */
  async function peakOf(misbehaviour: Script, detail: RegExp): Promise<number> {
    forgetPeak(pid)
    const localLogins = () => scene.attempts.filter(({ name }) => name === LOCAL.uid).length
    const enough = localLogins() + 4
    misbehave(onUserBind(misbehaviour))
    for (let attempt = 1; attempt <= 8 || localLogins() < enough; attempt++) {
      const made = await scene.login(alice, 'wrong')
      t.equal(made.status, 503)
      await scene.settled()
      t.match(scene.stepOf(made), { detail })
    }
    return peakBytes(pid)
  }
  await scene.fault(async () => {
    // The same attempts, failing without a bomb, so that what is compared differs in the bomb only.
    const harmless: Script = (_, connection) => connection.send(Buffer.from('3000', 'hex'))
    const without = Math.max(
      await peakOf(harmless, /no LDAP message/),
      await peakOf(harmless, /no LDAP message/),
    )
    for (const [detail, header] of bombs) {
      const bomb = Buffer.concat([header, flood])
      const more = (await peakOf((_, connection) => connection.send(bomb), detail)) - without
      t.ok(more <= 8 * MEBIBYTE, `${Math.round(more / MEBIBYTE)} MiB more for ${detail}`)
    }
  }, misbehave)
  await holdInvariants(t, scene, { people })
})

t.test('F13 answers with foreign ids, twice, late, or to another question satisfy no bind', async t => {
  const { scene, misbehave } = await openScriptedScene(t)
  const late: ReceivedRequest[] = []
  const tricks: Script[] = [
    (request, connection) => connection.send(bindResponse(request.id + 1)),
    (request, connection) =>
      connection.send(bindResponse(request.id - 1), bindResponse(request.id, { code: 49 })),
    (_, connection) => connection.send(bindResponse(0)),
    (request, connection) => connection.send(searchDone(request.id)),
    // A no and at once a yes under the same id; and a yes ahead, for the question that may come next.
    (request, connection) =>
      connection.send(bindResponse(request.id, { code: 51 }), bindResponse(request.id)),
    (request, connection) =>
      connection.send(bindResponse(request.id, { code: 52 }), bindResponse(request.id + 1)),
    request => {
      late.push(request)
      setTimeout(() => request.connection.send(bindResponse(request.id)), 600)
    },
    (request, connection) => {
      // Not under the id that is open here: that would be this directory's own yes.
      for (const older of late.filter(({ id }) => id !== request.id)) {
        connection.send(bindResponse(older.id))
        if (older.connection !== connection) older.connection.send(bindResponse(older.id))
      }
      connection.send(bindResponse(request.id, { code: 53 }))
    },
  ]
  await scene.fault(async () => {
    for (const trick of [...tricks, ...tricks]) {
      misbehave(onUserBind(trick))
      t.match(await scene.login(alice, 'wrong'), { status: 503 })
      await Promise.all([scene.login(bob, 'wrong'), scene.login(alice, 'wrong')])
    }
  }, misbehave)
  await holdInvariants(t, scene, { people })
})

t.test('F14 a notice of disconnection leaves what was asked open, and the daemon connects anew', async t => {
  const { scene, server, misbehave } = await openScriptedScene(t)
  await scene.fault(async () => {
    for (const then of ['end', 'nothing'] as const) {
      for (let round = 1; round <= 3; round++) {
        const noticed = [...server.connections]
        for (const connection of noticed) {
          connection.send(noticeOfDisconnection())
          if (then === 'end') connection.end()
        }
        // Whoever has read the notice goes, also where the server does not.
        await Promise.race([Promise.all(noticed.map(({ closed }) => closed)), pause(scene.deadlineMs)])
        const asked = server.requests.length
        const { status, ms } = await scene.login(alice)
        t.equal(status, 200, `${then}: nobody notices one on an idle connection`)
        t.ok(ms < 2_000)
        const anew = server.requests.slice(asked).map(({ connection }) => connection)
        t.notOk(
          anew.some(connection => noticed.includes(connection)),
          `${then}: on new connections`,
        )
      }
    }
    for (const on of [onUserBind, onSearch]) {
      misbehave(
        on((_, connection) => {
          connection.send(noticeOfDisconnection())
          connection.end()
        }),
      )
      const made = await attemptsOf(scene, bob)
      t.equal(countOf(made, 503), made.length)
    }
  }, misbehave)
  await holdInvariants(t, scene, { people })
})
