import { randomBytes } from 'node:crypto'
import t from 'tap'
import { createNoteSeal } from '../../../src/lockout/redis/sealed-note.ts'

const secret = randomBytes(32)
const note = { name: 'alice', subject: 'ad:1', address: '192.0.2.1', caller: 'mail' }

t.test('a note is read under the same secret only, and looks different each time', async t => {
  const [one, other] = [createNoteSeal(secret), createNoteSeal(secret)]
  const sealed = one.seal(note)
  t.strictSame(other.open(sealed), note)
  t.not(one.seal(note), sealed)
  t.notMatch(Buffer.from(sealed, 'base64url').toString('latin1'), 'alice')
  t.equal(createNoteSeal(randomBytes(32)).open(sealed), undefined)
})

t.test('a note that somebody changed, cut or made up is none', async t => {
  const notes = createNoteSeal(secret)
  const bytes = Buffer.from(notes.seal(note), 'base64url')
  for (let i = 0; i < bytes.length; i++) {
    const changed = Buffer.from(bytes)
    changed[i] = (changed[i] ?? 0) ^ 1
    t.equal(notes.open(changed.toString('base64url')), undefined)
    t.equal(notes.open(bytes.subarray(0, i).toString('base64url')), undefined)
  }
  for (const text of ['', '!', 'x'.repeat(1_000)]) t.equal(notes.open(text), undefined)
})
