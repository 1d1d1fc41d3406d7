/**
 * `npm run test:faults`: what happens to login daemons in real networks, in front of a real daemon (docs/faults.md). First the
 * scenes, then the campaign by itself: it takes every processor, and the scenes look at the clock.
 */
import { spawnSync } from 'node:child_process'
import { globSync } from 'node:fs'
import { parseArgs } from 'node:util'

const { values, positionals } = parseArgs({
  options: { attempts: { type: 'string' }, seed: { type: 'string' }, 'audit-rounds': { type: 'string' } },
  allowPositionals: true,
})
const CAMPAIGN = 'test/faults/campaign.fault.ts'
/** For one file, in seconds. A million attempts take a quarter of an hour. */
const SCENES_TIMEOUT = 300 + 10 * Number(values['audit-rounds'] ?? 0)
const CAMPAIGN_TIMEOUT = 3_600

const asked = positionals.length > 0 ? positionals : globSync('test/faults/*.fault.ts').sort()
const scenes = asked.filter(file => file !== CAMPAIGN)
const env = {
  ...process.env,
  ...(values.attempts !== undefined && { GATEHOUSE_FAULT_ATTEMPTS: values.attempts }),
  ...(values['audit-rounds'] !== undefined && { GATEHOUSE_AUDIT_ROUNDS: values['audit-rounds'] }),
  ...(values.seed !== undefined && { GATEHOUSE_FAULT_SEED: values.seed }),
}

function tap(timeout: number, files: readonly string[]): boolean {
  if (files.length === 0) return true
  const args = ['--disable-coverage', `--timeout=${timeout}`, ...files]
  return spawnSync('tap', args, { stdio: 'inherit', env }).status === 0
}

const scenesHold = tap(SCENES_TIMEOUT, scenes)
const campaignHolds = asked.length === scenes.length || tap(CAMPAIGN_TIMEOUT, [CAMPAIGN])
process.exitCode = scenesHold && campaignHolds ? 0 : 1
