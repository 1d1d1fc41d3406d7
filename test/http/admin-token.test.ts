import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import {
  adminTokenFile,
  createAdminToken,
  publishAdminToken,
  readAdminToken,
} from '../../src/http/admin-token.ts'
import { createLogRecorder } from '../support/log-recorder.ts'

t.test('a token is 256 random bits, for its user only, and gone with the daemon', async t => {
  const log = createLogRecorder()
  const file = adminTokenFile(join(t.testdir(), 'gatehouse.db'))
  const [token, other] = [createAdminToken(), createAdminToken()]
  t.not(token.reveal(), other.reveal())
  t.equal(Buffer.from(token.reveal(), 'base64url').length, 32)
  const umask = process.umask(0)
  const remove = publishAdminToken(file, token, log)
  process.umask(umask)
  t.equal(statSync(file).mode & 0o777, 0o600)
  t.equal(readAdminToken(file)?.reveal(), token.reveal())
  t.strictSame(readdirSync(t.testdirName), ['gatehouse.db.admin-token'], 'nothing else is left lying about')
  remove()
  t.notOk(existsSync(file))
  remove()
})

t.test('daemons whose databases share a folder do not take each other’s token', async t => {
  const log = createLogRecorder()
  const folder = t.testdir()
  const [one, other] = ['one.db', 'one.sqlite'].map(name => adminTokenFile(join(folder, name)))
  const token = createAdminToken()
  publishAdminToken(one ?? '', token, log)
  publishAdminToken(other ?? '', createAdminToken(), log)()
  t.equal(readAdminToken(one ?? '')?.reveal(), token.reveal())
  t.notOk(existsSync(other ?? ''))
})

t.test(
  'a new start takes the place of an old token, and the old daemon leaves the new one alone',
  async t => {
    const log = createLogRecorder()
    const file = join(t.testdir({ token: 'left by a crash' }), 'token')
    t.notOk(readAdminToken(file), 'what is no token is none')
    const removeFirst = publishAdminToken(file, createAdminToken(), log)
    const second = createAdminToken()
    publishAdminToken(file, second, log)
    removeFirst()
    t.equal(readAdminToken(file)?.reveal(), second.reveal())
  },
)

t.test('a link that lies in its place is replaced, and what it leads to is not touched', async t => {
  const folder = t.testdir({ victim: 'precious' })
  const file = join(folder, 'token')
  symlinkSync(join(folder, 'victim'), file)
  publishAdminToken(file, createAdminToken(), createLogRecorder())
  t.equal(readFileSync(join(folder, 'victim'), 'utf8'), 'precious')
  t.notOk(statSync(file).isSymbolicLink())
})

t.test('where it cannot be written the daemon does without, and says so', async t => {
  const log = createLogRecorder()
  const file = join(t.testdir(), 'not-there', 'token')
  publishAdminToken(file, createAdminToken(), log)()
  t.match(log.at('warn'), [{ fields: { file } }])
  mkdirSync(file, { recursive: true })
  publishAdminToken(file, createAdminToken(), log)()
  t.equal(log.at('warn').length, 2)
  t.strictSame(readdirSync(join(t.testdirName, 'not-there')), ['token'])
  chmodSync(file, 0o700)
  writeFileSync(join(file, 'x'), '')
  t.notOk(readAdminToken(file))
})
