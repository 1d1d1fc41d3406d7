/** What is the same on every server of a directory: the bases, the groups, people, the directory's own rules. */
import type { BackendServices, Finding, Username } from '../../../plugin.ts'
import type { Settings } from '../settings.ts'
import { examineBase } from './base.ts'
import { fail } from './finding.ts'
import { createGroupList } from './group-list.ts'
import { examinePatterns, lookUpPatterns } from './group-patterns.ts'
import { examineLockoutPolicy, type OwnLockout } from './lockout-policy.ts'
import { createIsOwn } from './own-account.ts'
import { examinePerson } from './person.ts'
import { noAnswer } from './refusal.ts'
import type { RootDse } from './root-dse.ts'
import { examineServiceRights } from './service-rights.ts'
import type { Session } from './session.ts'

export interface ContentExamined {
  readonly session: Session
  readonly rootDse: RootDse | undefined
  readonly settings: Settings
  readonly services: BackendServices
  readonly user: string | undefined
  readonly username: Username | undefined
  readonly lockout: OwnLockout
  readonly signal: AbortSignal
}

/** Ends at the first step that gets no answer. */
export async function* examineContent(about: ContentExamined): AsyncGenerator<Finding> {
  const { session, rootDse, settings, services, user, username, lockout, signal } = about
  const { base_dn, bind } = settings.options
  const { method } = settings.service
  let step = `base_dn ${base_dn}`
  // What no login asks keeps nobody out.
  let mayLogIn = false
  try {
    if (!(yield* examineBase({ session, option: 'base_dn', base: base_dn, rootDse, method }))) return
    step = 'groups'
    const withGroups = yield* examineGroupOptions(about)
    const groupList = createGroupList(session, settings, rootDse)
    const patterns = withGroups ? await lookUpPatterns(session, settings, groupList) : []
    step = user === undefined ? 'a person' : `user ${user}`
    const isOwn = createIsOwn(session, bind.dn, rootDse)
    const person = {
      session,
      settings,
      services,
      rootDse,
      user,
      username,
      isOwn,
      groupList,
      patterns,
      withGroups,
      signal,
    }
    const found = yield* examinePerson(person)
    mayLogIn = true
    step = 'groups'
    yield* examinePatterns(patterns, groupList, found?.groups ?? [], settings)
    if (rootDse?.activeDirectory !== true) return
    step = 'lockout policy'
    if (rootDse.defaultContext !== undefined) {
      yield* examineLockoutPolicy({
        session,
        domain: rootDse.defaultContext,
        ours: lockout,
        shield: settings.shield,
        ownSids: rootDse.ownSids,
      })
    }
    step = 'rights of the service account'
    const somebody = found !== undefined && !(await isOwn(found.dn)) ? found.dn : undefined
    yield* examineServiceRights(session, rootDse, somebody)
  } catch (error) {
    const finding = noAnswer(step, error, method)
    yield mayLogIn ? { ...finding, status: 'warn' } : finding
  }
}

/** @returns whether groups can be found with these options */
async function* examineGroupOptions({
  session,
  rootDse,
  settings,
}: ContentExamined): AsyncGenerator<Finding, boolean> {
  const { nesting, base_dn } = settings.options.groups
  const { method } = settings.service
  if (rootDse && !rootDse.activeDirectory && (nesting === 'token_groups' || nesting === 'in_chain')) {
    const detail = `only Active Directory can do that, and this is ${rootDse.kind}`
    yield fail(`groups.nesting ${nesting}`, detail, 'set `groups.nesting: levels`, or take it out')
    return false
  }
  if (base_dn === undefined) return true
  return yield* examineBase({ session, option: 'groups.base_dn', base: base_dn, rootDse, method })
}
