import t from 'tap'
import { Secret } from '../../src/authentication/secret.ts'
import { checkNewPassword } from '../../src/passwords/policy.ts'

const check = (text: string, names: string[] = ['alice']) => checkNewPassword(new Secret(text), names)

t.test('fifteen characters are enough, of any kind, and counted as people count them', async t => {
  for (const good of [
    'aaaaaaaaaaaaaab',
    'correct horse battery',
    '               x',
    '🐴'.repeat(15),
    'ü'.repeat(15),
    'x'.repeat(1024),
  ]) {
    t.strictSame(check(good), { ok: true }, good.slice(0, 30))
  }
})

t.test('a short password is refused, whatever it is made of', async t => {
  for (const [short, length] of [
    ['x', 1],
    ['Tr0ub4dor&3!?#', 14],
    ['🐴'.repeat(14), 14],
  ] as const) {
    t.match(check(short), { ok: false, problem: `${length} characters and needs at least 15` })
  }
})

t.test('what no login could send is refused', async t => {
  t.match(check(''), { problem: 'the password is empty' })
  t.match(check('x'.repeat(1025)), { problem: 'longer than 1024 bytes' })
  t.match(check('ü'.repeat(513)), { problem: 'longer than 1024 bytes' })
  t.match(check('with a\ttab inside it'), { problem: 'control character' })
  t.match(check('with half a \ud83d horse'), { problem: 'well-formed' })
  t.match(check(' '.repeat(20)), { problem: 'blank' })
})

t.test("a password is none of the user's own names, however spelled", async t => {
  const names = ['alice-liddell-of-oxford', 'alice.liddell@corp.example', 'Alice Pleasance Liddell']
  for (const name of [
    ...names,
    'ALICE-LIDDELL-OF-OXFORD',
    ' alice.liddell@corp.example',
    'alice pleasance liddell',
  ]) {
    t.match(check(name, names), { ok: false, problem: "the user's own names" }, name)
  }
  t.match(check('alice-liddell-of-oxford!', names), { ok: true })
})

t.test('no problem repeats the password', async t => {
  for (const secret of ['hunter2', 'x'.repeat(2000), 'tab\there and there', 'alice-liddell-of-oxford']) {
    const answer = check(secret, ['alice-liddell-of-oxford'])
    t.notOk(answer.ok || answer.problem.includes(secret))
  }
})
