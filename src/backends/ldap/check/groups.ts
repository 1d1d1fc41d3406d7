/** Rules over `groups`. */

import { matchGroups } from '../groups/group.ts'
import type { LdapOptions } from '../options.ts'
import { parseDn } from '../syntax/dn.ts'
import { parseGroupFilterTemplate } from '../syntax/filter.ts'
import { attempt, type Finding, pointerKey } from './finding.ts'

export function checkGroups({ groups }: LdapOptions): Finding[] {
  return [...checkPatterns(groups), ...checkGroupSearch(groups)]
}

function checkGroupSearch({ base_dn, filter, nesting, ...groups }: LdapOptions['groups']): Finding[] {
  const findings: Finding[] = []
  if (base_dn !== undefined && !parseDn(base_dn)) {
    const hint = 'such as ou=groups,dc=corp,dc=example'
    findings.push({ pointer: '/groups/base_dn', message: 'this is no DN', hint })
  }
  const template = filter === undefined ? undefined : attempt(() => parseGroupFilterTemplate(filter))
  if (template instanceof Error) findings.push({ pointer: '/groups/filter', message: template.message })
  if (filter !== undefined && (nesting === 'token_groups' || nesting === 'in_chain')) {
    findings.push({
      pointer: '/groups/nesting',
      message: `\`${nesting}\` finds every group by itself and takes no \`filter\``,
      hint: 'remove groups.filter, or set `nesting: levels`',
    })
  }
  if (groups.when_unreadable === 'omit' && groups.required.length + groups.denied.length > 0) {
    findings.push({
      pointer: '/groups/when_unreadable',
      message: 'without their groups nobody can be held to `required` and `denied`',
      hint: 'when_unreadable: refuse',
    })
  }
  return findings
}

function checkPatterns(groups: LdapOptions['groups']): Finding[] {
  const patterns = [
    ...groups.required.map((pattern, index) => ({ pattern, pointer: `/groups/required/${index}` })),
    ...groups.denied.map((pattern, index) => ({ pattern, pointer: `/groups/denied/${index}` })),
    ...Object.keys(groups.roles).map(pattern => ({
      pattern,
      pointer: `/groups/roles/${pointerKey(pattern)}`,
    })),
  ]
  // A DN without quotes in a list in brackets is as many patterns as it has commas.
  const cutUp = patterns.filter(({ pattern }) => parseDn(pattern)?.length === 1).length > 1
  return patterns.flatMap(({ pattern, pointer }) => {
    const matcher = attempt(() => matchGroups([pattern]))
    if (!(matcher instanceof Error)) return []
    return [{ pointer, message: matcher.message, ...(cutUp && { hint: QUOTE }) }]
  })
}

const QUOTE = 'if it is a part of a DN, quote the whole DN inside [ ]'
