/** As much of the Dockerfile language as ours uses. */

export interface Instruction {
  /** In capitals. */
  readonly keyword: string
  /** `--from=build` is `from: 'build'`. */
  readonly flags: Readonly<Record<string, string>>
  /** What follows the keyword and its flags, continued lines joined. */
  readonly rest: string
}

export interface Stage {
  /** An image, or the name of an earlier stage. */
  readonly from: string
  readonly name: string
  readonly instructions: readonly Instruction[]
}

/** @throws Error on an instruction outside of a stage, and on a stage without a name */
export function parseDockerfile(text: string): Stage[] {
  const stages: { from: string; name: string; instructions: Instruction[] }[] = []
  for (const instruction of instructions(text)) {
    if (instruction.keyword === 'FROM') {
      const [, from, name] = /^(\S+)\s+AS\s+(\S+)$/i.exec(instruction.rest) ?? []
      if (from === undefined || name === undefined)
        throw new Error(`FROM without a name: ${instruction.rest}`)
      stages.push({ from, name, instructions: [] })
    } else {
      const stage = stages.at(-1)
      if (stage === undefined) throw new Error(`${instruction.keyword} comes before FROM`)
      stage.instructions.push(instruction)
    }
  }
  return stages
}

function instructions(text: string): Instruction[] {
  return text
    .split('\n')
    .filter(line => !/^\s*(#|$)/.test(line))
    .join('\n')
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n')
    .map(line => {
      const [, keyword = '', flags = '', rest = ''] = /^(\w+)((?:\s+--\S+)*)\s+(.*)$/.exec(line.trim()) ?? []
      const pairs = [...flags.matchAll(/--([\w-]+)=(\S+)/g)].map(([, name, value]) => [name, value])
      return { keyword: keyword.toUpperCase(), flags: Object.fromEntries(pairs), rest: rest.trim() }
    })
}

/** The words of an instruction in JSON form (`["node", "-e"]`) or plain (`src dist`). */
export function wordsOf(rest: string): string[] {
  if (!rest.startsWith('[')) return rest.split(/\s+/)
  const words: unknown = JSON.parse(rest)
  if (!Array.isArray(words)) throw new Error(`not a list: ${rest}`)
  return words.map(String)
}

/** Every instruction of this kind that holds for a stage, those of the stages it is built on first. */
export function inherited(stages: readonly Stage[], stage: Stage, keyword: string): Instruction[] {
  const parent = stages.find(({ name }) => name === stage.from)
  const own = stage.instructions.filter(instruction => instruction.keyword === keyword)
  return parent === undefined ? own : [...inherited(stages, parent, keyword), ...own]
}

/** The environment that ENV sets, `NAME=value` each. */
export function environmentOf(stages: readonly Stage[], stage: Stage): Record<string, string> {
  return Object.fromEntries(
    inherited(stages, stage, 'ENV').map(({ rest }) => {
      const at = rest.indexOf('=')
      return [rest.slice(0, at), rest.slice(at + 1)]
    }),
  )
}
