/** I1 at volume: not one wrong accept in so many faulted attempts. `campaign.ts` says how; this runs it on every processor. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { Campaign } from './campaign.ts'

const CAMPAIGN = fileURLToPath(new URL('./campaign.ts', import.meta.url))
const target = Number(process.env.GATEHOUSE_FAULT_ATTEMPTS ?? 100_000)
const seed = Number(process.env.GATEHOUSE_FAULT_SEED ?? Date.now() % 2 ** 31)

async function run(attempts: number, seed: number): Promise<Campaign> {
  const args = [CAMPAIGN, '--attempts', String(attempts), '--seed', String(seed)]
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: '' },
  })
  t.teardown(() => child.kill('SIGKILL'))
  let said = ''
  child.stdout.setEncoding('utf8').on('data', text => {
    said += text
  })
  const [code] = await once(child, 'close')
  if (said === '') throw new Error(`the campaign with seed ${seed} ended with ${code} and said nothing`)
  return JSON.parse(said)
}

t.test(`of ${target} attempts that something goes wrong with no wrong password gets in`, async t => {
  const parts = Math.min(4, availableParallelism())
  t.comment(`GATEHOUSE_FAULT_SEED=${seed} in ${parts} parts`)
  const campaigns = await Promise.all(
    Array.from({ length: parts }, (_, part) => run(Math.ceil(target / parts), seed + part)),
  )
  const sum = (of: (campaign: Campaign) => number) =>
    campaigns.map(of).reduce((total, each) => total + each, 0)
  for (const campaign of campaigns) t.comment(JSON.stringify(campaign))

  t.ok(sum(({ faulted }) => faulted) >= target, `${sum(({ faulted }) => faulted)} faulted attempts`)
  t.equal(
    sum(({ wrongAccepted }) => wrongAccepted),
    0,
    'I1: no wrong password is accepted',
  )
  t.equal(
    sum(({ rightCalledWrong }) => rightCalledWrong),
    0,
    'I4: no right password is called wrong',
  )
  t.equal(
    sum(({ impossible }) => impossible),
    0,
    'I4: nobody is taken for unknown, or for several',
  )
  t.equal(
    sum(({ unhandled }) => unhandled),
    0,
    'I3: nothing went unhandled',
  )
  t.equal(
    sum(({ leaked }) => leaked),
    0,
    'I10: no password is in the log',
  )
  t.ok(Math.max(...campaigns.map(({ rssMiB }) => rssMiB)) < 512, 'I7: memory stays bounded')
  for (const { outcomes, injected } of campaigns) {
    // A campaign in which nothing works, or nothing goes wrong, proves nothing.
    t.ok((outcomes['right: accept'] ?? 0) > 0 && (outcomes['wrong: wrong_password'] ?? 0) > 0)
    t.ok(Object.keys(injected).length > 20, 'every kind of fault had its turn')
  }
})
