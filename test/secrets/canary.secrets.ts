/** The search itself: what cannot find anything proves nothing. */
import { createHash } from 'node:crypto'
import { inspect } from 'node:util'
import t from 'tap'
import { findCanaries, newCanary, spellingsOf } from './canary.ts'

t.test('a secret is found in every spelling, in the middle of whatever stands around it', async t => {
  const canary = newCanary('a password')
  const { core, password } = canary
  const digest = (algorithm: string) => createHash(algorithm).update(password).digest()
  const written: Record<string, string | Buffer> = {
    'a log line': JSON.stringify({ msg: `no good: ${password}` }),
    'JSON in JSON': JSON.stringify(JSON.stringify({ password })),
    'an inspected object': inspect({ deep: [{ password }] }),
    'a URL': `/login?password=${encodeURIComponent(password)}`,
    'a form': String(new URLSearchParams({ password })),
    'a URL with everything escaped': [...Buffer.from(password)]
      .map(octet => `%${octet.toString(16)}`)
      .join(''),
    'JSON with everything escaped': [...Buffer.from(core)]
      .map(octet => `\\u00${octet.toString(16)}`)
      .join(''),
    'a Basic header': Buffer.from(`somebody:${password}`).toString('base64'),
    'another Basic header': Buffer.from(`somebody1:${password}`).toString('base64'),
    'a third one': Buffer.from(`somebody12:${password}`).toString('base64'),
    'base64url in a token': `x.${Buffer.from(JSON.stringify({ password })).toString('base64url')}.y`,
    'a dump': Buffer.from(password).toString('hex'),
    'a dump in capitals': Buffer.from(password).toString('hex').toUpperCase(),
    'an inspected buffer': inspect(Buffer.from(password)),
    'a buffer as JSON': JSON.stringify(Buffer.from(password)),
    'UTF-16': Buffer.from(password, 'utf16le'),
    'UTF-16 the other way': Buffer.from(password, 'utf16le').swap16(),
    'the wrong way round': [...password].reverse().join(''),
    'a folded name': password.toLowerCase(),
    'a text that was cut off': `the server said: "${password.slice(0, 22)}`,
    'the rest of one': password.slice(-14),
    'an MD5': digest('md5').toString('hex'),
    'a SHA-256': digest('sha256').toString('base64'),
    'a SHA-512 in a file': Buffer.concat([Buffer.from('row'), digest('sha512')]),
  }
  for (const [what, content] of Object.entries(written)) {
    const around = Buffer.concat([
      Buffer.from('{"level":"info",…'),
      Buffer.from(content),
      Buffer.from('…}\n'),
    ])
    t.not(findCanaries(around, [canary]).length, 0, what)
    t.same(findCanaries(around, [newCanary('another')]), [], `and nobody else's in ${what}`)
  }
  t.ok(spellingsOf(canary).size > 20)
})

t.test('two secrets are told apart, and nothing is found where there is none', async t => {
  const [one, other] = [newCanary('one'), newCanary('other')]
  t.same(
    findCanaries(`x${one.core}x`, [one, other]).filter(found => found.startsWith('other')),
    [],
  )
  t.same(findCanaries(Buffer.alloc(100_000, 'secret [secret] '), [one, other]), [])
})
