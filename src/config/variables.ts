/** `${NAME}` in a value is an environment variable; `$${` is a literal `${`. */

const REFERENCE = /\$\$\{|\$\{([^}]*)(\}?)/g
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/

export interface Expansion {
  readonly text: string
  /** The variables it took, each once. */
  readonly names: readonly string[]
  /** What could not be expanded; `index` counts the references of the text from 0. */
  readonly faults: readonly { readonly index: number; readonly message: string; readonly hint: string }[]
}

/** Expands the variables in a text once: what a variable holds is taken as it is. */
export function expandVariables(text: string, env: NodeJS.ProcessEnv): Expansion {
  const names = new Set<string>()
  const faults: { index: number; message: string; hint: string }[] = []
  let index = -1
  const expanded = text.replace(REFERENCE, (reference: string, name = '', end = '') => {
    index += 1
    if (reference.startsWith('$$')) return reference.slice(1)
    if (!NAME.test(name) || end === '') {
      const hint = `write \${NAME} for an environment variable, or $\${ for a literal \${`
      faults.push({ index, message: 'not the name of an environment variable', hint })
      return ''
    }
    names.add(name)
    const value = env[name]
    if (value === undefined) {
      faults.push({
        index,
        message: `the environment variable ${name} is not set`,
        hint: `set it, or write $\${ for a literal \${`,
      })
    }
    return value ?? ''
  })
  return { text: expanded, names: [...names], faults }
}

/** The text as it is written where it is to be expanded to itself. */
export function escapeVariables(text: string): string {
  return text.replaceAll('${', () => '$${')
}

/** Where in a text the reference with this index starts; 0 if escapes hide it. */
export function referenceOffset(raw: string, index: number): number {
  return [...raw.matchAll(REFERENCE)][index]?.index ?? 0
}

/** Is the text one `${NAME}` and nothing else? */
export function isReference(text: string): boolean {
  return /^\$\{[A-Za-z_][A-Za-z0-9_]*\}$/.test(text)
}
