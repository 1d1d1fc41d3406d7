/**
 * The filter finds nobody below `base_dn`: which of the two is wrong, and where in it? Each part is tried by itself, first
 * below the base and then in the whole directory, until one explains it.
 */
import type { Finding } from '../../../plugin.ts'
import { userFilterOf } from '../effective.ts'
import type { DirectoryEntry } from '../syntax/entry.ts'
import { allOf, anyOf } from '../syntax/filter.ts'
import { parentsOf } from './base.ts'
import { betterAbout } from './better-preset.ts'
import { classIn, type FilterParts, type FixedClause, has } from './filter-parts.ts'
import { fail } from './finding.ts'
import {
  findAbove,
  findOthers,
  findPeople,
  isPersonClass,
  LOGIN_ATTRIBUTES,
  type Surroundings,
  unique,
} from './people.ts'
import { clauseFor, withClause } from './placeholder.ts'
import { GIVE_ACCOUNT } from './refusal.ts'

const CHECK = 'user_filter'
/** More would not be read. */
const MOST_BRANCHES = 3

/**
 * Nobody at all is found: without a name, everybody that the filter could find.
 *
 * @throws {DirectoryFailure} if no answer came
 */
export async function* whyNobody(around: Surroundings): AsyncGenerator<Finding> {
  const { base, parts, options, rootDse } = around
  const better = options.user_filter === undefined ? betterAbout('userFilter', options, rootDse) : undefined
  if (better !== undefined) {
    const detail = `its filter ${userFilterOf(options)} finds nobody in ${rootDse?.kind}`
    yield fail('preset', detail, `set \`preset: ${better}\``)
    return
  }
  const narrowed = parts.fixed.length + parts.branches.length > 0
  const meant = (where: string) => findPeople(around, where, narrowed ? parts.people : undefined)
  const people = parts.branches.length > 0 ? [] : await meant(base)
  if (people.length > 0) {
    yield await blameNames(around, people)
    return
  }
  const [someone] = await findPeople(around, base)
  const elsewhere = await findAbove(around, meant)
  if (someone === undefined) {
    const other = elsewhere ?? (await findAbove(around, where => findPeople(around, where)))
    yield other === undefined ? nobodyVisible(around) : blameBase(base, other.dn)
    return
  }
  for (const clause of parts.fixed) {
    if ((await findOthers(around, base, clause.filter)).length > 0) continue
    yield elsewhere === undefined ? await blameClause(around, clause) : blameBase(base, elsewhere.dn)
    return
  }
  yield parts.branches.length > 0
    ? await blameBranches(around, someone)
    : fail(
        CHECK,
        `each clause matches some entry below ${base}, but none matches all of them`,
        `${correct('one of them')}: ${parts.fixed.map(({ text }) => text).join(', ')}`,
      )
}

/** A clause may be there to keep people out: whoever leaves it out lets them in. */
function correct(what: string): string {
  return `correct ${what}; without it everybody else gets in, too`
}

/** Whom the directory has is elsewhere. */
export function blameBase(base: string, dn: string, check = 'base_dn'): Finding {
  const [parent = base] = parentsOf(dn)
  const detail = `nobody like this is below ${base}, but ${dn} is there`
  return fail(check, detail, `set \`base_dn: ${parent}\`, or an entry above it`)
}

/** With whatever filter: so no clause of any is to blame. */
function nobodyVisible({ base, options, method }: Surroundings): Finding {
  const who = method === 'anonymous' ? 'whoever is anonymous' : 'the service account'
  const detail = `no person is to be seen below ${base}, with whatever filter: ${who} may not read them, or they are elsewhere`
  const account = options.bind.dn === undefined ? 'the service account' : options.bind.dn
  const advice =
    method === 'anonymous'
      ? `${GIVE_ACCOUNT} of one that may read people`
      : `let ${account} read the entries of people, with objectClass and what they log in with; or correct \`base_dn\``
  return fail('people', detail, advice)
}

/** People are there, but nobody has what the filter looks for the name in. */
async function blameNames(around: Surroundings, people: readonly DirectoryEntry[]): Promise<Finding> {
  const { base, parts, options } = around
  const wrong = parts.nameAttributes.join(' nor ')
  const shown = attributesOf(people)
  const present: string[] = []
  const clauses: string[] = []
  for (const attribute of shown.length > 0 ? shown : LOGIN_ATTRIBUTES) {
    const some = await findPeople(around, base, allOf(parts.people, has(attribute)))
    if (some.length === 0) continue
    present.push(attribute)
    clauses.push(clauseFor(attribute, some.flatMap(entry => entry.texts(attribute))[0]))
  }
  const [clause] = clauses
  const whole = clause && options.user_filter === undefined && withClause(parts.text, clause)
  const neither = parts.nameAttributes.length > 1 ? `neither ${wrong}` : `no ${wrong}`
  const detail = `people are there (such as ${people[0]?.dn}), but they have ${neither} that the service account can read`
  const letRead = `let the service account read ${parts.nameAttributes.join(' and ')}`
  const advice =
    clause === undefined
      ? letRead
      : `in \`user_filter\` look for the name in ${present.join(' or ')}, such as ${whole ? `\`user_filter: ${whole}\`` : clause}; or ${letRead}`
  return fail(CHECK, detail, advice)
}

/** This clause matches nothing below the base: what do the entries have instead that match the others? */
async function blameClause(around: Surroundings, clause: FixedClause): Promise<Finding> {
  const { base, parts, options } = around
  const ofPreset = options.user_filter === undefined
  const anyName = anyOf(unique([...parts.nameAttributes, ...LOGIN_ATTRIBUTES]).map(has))
  const [someone] = await findPeople(around, base, allOf(...parts.without(clause), anyName))
  const detail = `the clause ${clause.text} matches nothing below \`base_dn\``
  if (someone === undefined) return fail(CHECK, detail, `correct ${clause.text}, or \`base_dn\``)
  const classes = someone.texts('objectClass')
  const wanted = classIn(clause)
  if (wanted !== undefined && classes.length === 0) {
    return fail(CHECK, detail, `let the service account read objectClass: of ${someone.dn} it sees none`)
  }
  // A class of one's own, or one of several, may say who is let in: a class that everybody has is no substitute.
  const isAlone = parts.fixed.every(each => each === clause || classIn(each) === undefined)
  const instead = classes.findLast(isPersonClass)
  if (wanted !== undefined && isPersonClass(wanted) && isAlone && instead !== undefined) {
    const better = `(objectClass=${instead})`
    const advice = ofPreset
      ? `set \`user_filter: ${userFilterOf(options)?.replace(clause.text, better)}\``
      : `write ${better} instead`
    return fail(CHECK, detail, `${advice}: ${someone.dn} has objectClass ${classes.join(', ')}`)
  }
  const advice = ofPreset
    ? `it is of \`preset: ${options.preset}\`: may the service account read that attribute of ${someone.dn}?`
    : `${correct('it')}; or let the service account read what it asks for, such as of ${someone.dn}, which has objectClass ${classes.join(', ')}`
  return fail(CHECK, detail, advice)
}

/** Several ways to be found, and each leads to nobody. */
async function blameBranches(around: Surroundings, someone: DirectoryEntry): Promise<Finding> {
  const { branches } = around.parts
  const reasons: string[] = []
  for (const branch of branches.slice(0, MOST_BRANCHES)) reasons.push(await blameBranch(around, branch))
  const more = branches.length > MOST_BRANCHES ? `; and ${branches.length - MOST_BRANCHES} more` : ''
  const classes = someone.texts('objectClass').join(', ') || 'no objectClass that can be read'
  const advice = `correct one of them: ${someone.dn} has ${[...attributesOf([someone])].join(' and ') || 'no login name'}, and objectClass ${classes}`
  return fail(CHECK, `none of its branches matches anybody: ${reasons.join('; ')}${more}`, advice)
}

async function blameBranch(around: Surroundings, branch: FilterParts): Promise<string> {
  const { base } = around
  for (const clause of branch.fixed) {
    if ((await findOthers(around, base, clause.filter)).length === 0)
      return `of ${branch.text} nothing matches ${clause.text}`
  }
  const names = branch.nameAttributes.join(' or ')
  return `of ${branch.text} nobody who matches the rest has ${names}`
}

function attributesOf(people: readonly DirectoryEntry[]): readonly string[] {
  return LOGIN_ATTRIBUTES.filter(attribute => people.some(entry => entry.texts(attribute).length > 0))
}
