import { dictionary } from '@zxcvbn-ts/language-common'
import t from 'tap'
import { Secret } from '../../src/authentication/secret.ts'
import { checkNewPassword } from '../../src/passwords/policy.ts'
import { randomPassword } from '../../src/users/random-password.ts'

const check = (text: string, names: string[] = ['alice']) => checkNewPassword(new Secret(text), names)

t.test('fifteen characters are enough, of any kind, and counted as people count them', async t => {
  for (const good of [
    'correct horse battery',
    'correcthorsebattery',
    '739104826405917',
    '  k q x v z w p ',
    '🐴🐎🦄🐷🐮🐶🐱🐭🐹🐰🦊🐻🐼🐨🐯',
    'über süße größe',
    'k3Xq-v9Zt'.repeat(100) + 'x'.repeat(124),
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
  t.match(check('tea with the dormouse of oxford', names), { ok: true })
})

t.test('no problem repeats the password', async t => {
  for (const secret of ['hunter2', 'x'.repeat(2000), 'tab\there and there', 'alice-liddell-of-oxford']) {
    const answer = check(secret, ['alice-liddell-of-oxford'])
    t.notOk(answer.ok || answer.problem.includes(secret))
  }
})

t.test('what anybody would try first is refused, and why is told (S26)', async t => {
  for (const [problem, ...passwords] of [
    [
      'one of the most common passwords',
      'passwordpassword',
      '1QAZ2WSX3EDC4RFV',
      'qwerty123456789',
      'P@sswordP@ssword',
    ],
    [
      'repeats itself',
      'aaaaaaaaaaaaaab',
      'xk7xk7xk7xk7xk7x',
      'iloveyou iloveyou iloveyou',
      '🐴'.repeat(15),
      'x'.repeat(1024),
    ],
    [
      'is little more than a sequence',
      '123456789012345',
      'qwertyuiopasdfghjkl',
      'abcdefghijklmnop',
      'zyxwvutsrq987654321',
    ],
    ['is little more than common passwords', 'battery-dragons', 'monkey!!princess'],
    [
      'is little more than common passwords and a sequence',
      'password2345678',
      'Summer2024!Winter2024!',
      'p4ssw0rd.1234567',
    ],
    [
      'a name that everybody here knows',
      'Gatehouse-Gatehouse-1',
      'alice-liddell-2026',
      'CorpCorpWelcome2026',
    ],
  ] as const) {
    for (const password of passwords) {
      t.match(
        check(password, ['alice', 'alice.liddell@corp.example']),
        { ok: false, problem },
        password.slice(0, 30),
      )
    }
  }
})

t.test('far more than 3,000 common passwords that are long enough are refused', async t => {
  const listed = dictionary['passwords-common'].slice(0, 2_000)
  t.equal(listed.length, 2_000)
  const letIn = (make: (word: string) => string) => listed.map(make).filter(made => check(made).ok)
  t.same(
    letIn(word => word.repeat(Math.ceil(15 / word.length) + 1)),
    [],
    'over and over',
  )
  t.same(
    letIn(word => `${word}1234567890123`),
    [],
    'with digits behind',
  )
})

t.test('a random password is never taken for a common one', async t => {
  for (let round = 0; round < 1_000; round += 1) t.ok(checkNewPassword(randomPassword(), ['alice']).ok)
})

t.test('the longest password is judged in a moment', async t => {
  const before = performance.now()
  check(`${'k3Xq'.repeat(255)}vZt`, [])
  t.ok(performance.now() - before < 1_000)
})
