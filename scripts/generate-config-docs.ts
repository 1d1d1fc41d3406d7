/**
 * Writes docs/configuration.md and config/gatehouse.schema.json from the schemas that validate:
 * `node scripts/generate-config-docs.ts`. test/config/editor-schema.test.ts notices drift.
 */
import { writeFileSync } from 'node:fs'
import { builtInPlugins } from '../src/backends/registry.ts'
import { renderEditorSchema } from '../src/config/editor-schema.ts'
import { itemSchemas, type JsonSchema } from '../src/config/json-schema.ts'
import { CONFIG_SCHEMA } from '../src/config/schema.ts'

const INTRODUCTION = `<!-- Made from the schemas by scripts/generate-config-docs.ts. Do not edit. -->

# Configuration

One YAML file. \`gatehouse serve\` reads \`--config\`, else \`$GATEHOUSE_CONFIG\`, else \`config/gatehouse.yaml\` in the working
directory, else the one that ships, which needs no directory at all.

- \`gatehouse check\` says everything that is wrong with it: file, line, column, and what was probably meant.
- \`gatehouse config show\` prints what holds, secrets masked, and where each value came from.
- \`# yaml-language-server: $schema=./gatehouse.schema.json\` in the first line makes an editor complete and check it.

## Writing it

- YAML 1.2 core: \`yes\`, \`no\`, \`on\` and \`off\` are texts. Unknown keys, duplicate keys, tags, merge keys (\`<<\`) and a second
  document are errors. Anchors and aliases work, within bounds.
- A **duration** is \`250ms\`, \`4s\`, \`15m\` or \`12h\`; a **size** is \`512B\`, \`64KiB\`, \`64MiB\` or \`2GiB\`; **days**
  are \`400d\`.
- **\`\${NAME}\`** anywhere in a value takes an environment variable, which must be set; the value gets the type the option
  wants. \`$\${\` is a literal \`\${\`. Inside \`{ }\` and \`[ ]\` YAML wants it in quotes: \`{ port: "\${PORT}" }\`.
- **Secrets** have a second form: \`password_file: /run/secrets/ldap\` instead of \`password\`. One trailing newline is
  dropped. Exactly one of the two forms may be given. A secret in the configuration itself is a warning, and so is a
  secret file that every user of the machine may read.
- **Relative paths** start in the working directory of the process, wherever the configuration lies.
- **Refused**: no backend that could accept anybody; duplicate ids; a client that names an unknown backend, or is not
  recognised by exactly one thing, or by the same as another; listening beyond this machine without \`clients\`; both
  listeners on one port; \`on: { accept: continue }\` on the last backend; \`lockout.store: redis\` without the server or
  without a \`lockout.secret\` of 32 bytes; and what each type of backend says below.
`

/** The whole page. */
export function renderConfigurationPage(): string {
  const { backends, ...sections } = CONFIG_SCHEMA.properties ?? {}
  const [nested, plain] = partition(Object.entries(sections), ([, schema]) => isNested(schema))
  return [
    INTRODUCTION,
    '## Top level\n',
    table(plain),
    ...nested.map(([name, schema]) => section(`## ${name}`, schema)),
    section('## backends', backends ?? {}, 'What every backend has; the rest depends on its `type`.'),
    ...builtInPlugins.map(({ type, options }) => section(`### type: ${type}`, options)),
    '### Other types\n',
    'A type that starts with `npm:` or a path is a plugin and must be listed under `plugins`. What it knows beside the',
    'options above is said by its own documentation; `gatehouse check` holds it to that as well.',
    'How to write one: [add-a-backend.md](add-a-backend.md).\n',
  ].join('\n')
}

type Entry = readonly [name: string, schema: JsonSchema]

function section(heading: string, schema: JsonSchema, addition?: string): string {
  const [inner = schema] = itemSchemas(schema)
  const rows = Object.entries(inner.properties ?? {})
  const text = [schema.description, addition].filter(part => part !== undefined).join(' ')
  const options = rows.length > 0 ? table(rows, inner.required) : 'No options of its own.\n'
  return `${heading}\n\n${text ? `${text}\n\n` : ''}${options}`
}

function table(entries: readonly Entry[], required: readonly string[] = []): string {
  const rows = entries.flatMap(([name, schema]) => rowsOf(name, schema, required.includes(name)))
  return ['| option | value | default | meaning |', '|---|---|---|---|', ...rows, ''].join('\n')
}

/** One row for an option, and one for each option inside it. */
function rowsOf(name: string, schema: JsonSchema, required: boolean): string[] {
  const { properties, required: needed = [] } = schema
  const fallback = schema.default === undefined ? (required ? '**required**' : '') : code(schema.default)
  const shownDefault = properties
    ? required && schema.default === undefined
      ? '**required**'
      : ''
    : fallback
  const row = `| \`${name}\` | ${cell(kind(schema))} | ${cell(shownDefault)} | ${cell(schema.description ?? '')} |`
  const inner = Object.entries(properties ?? {})
  return [row, ...inner.flatMap(([key, value]) => rowsOf(`${name}.${key}`, value, needed.includes(key)))]
}

function kind(schema: JsonSchema): string {
  if (schema['x-secret']) return 'secret, or `_file`'
  if (schema['x-file']) return 'text, or `_file`'
  if (schema['x-duration']) return 'duration'
  if (schema['x-size']) return 'size'
  if (schema['x-days']) return 'days'
  const words = schema.enum ?? schema.anyOf?.flatMap(branch => branch.const ?? [])
  if (words && words.length > 0) return words.map(code).join(', ')
  if (schema.anyOf) return schema.anyOf.map(kind).join(' or ')
  switch (schema.type) {
    case 'string':
      return schema['x-expected'] ?? 'text'
    case 'integer':
    case 'number':
      return range(schema)
    case 'boolean':
      return '`true`, `false`'
    case 'array':
      return `list of ${itemSchemas(schema).map(kind).join(', ') || 'anything'}`
    default:
      return 'mapping'
  }
}

function range({ type, minimum, maximum }: JsonSchema): string {
  const noun = type === 'integer' ? 'whole number' : 'number'
  if (minimum !== undefined && maximum !== undefined) return `${noun} from ${minimum} to ${maximum}`
  return minimum === undefined ? noun : `${noun}, at least ${minimum}`
}

function isNested(schema: JsonSchema): boolean {
  return [schema, ...itemSchemas(schema)].some(({ properties }) => properties !== undefined)
}

function partition<T>(items: readonly T[], test: (item: T) => boolean): [T[], T[]] {
  return [items.filter(test), items.filter(item => !test(item))]
}

function code(value: unknown): string {
  return `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}

if (import.meta.main) {
  const write = (path: string, text: string) => writeFileSync(new URL(`../${path}`, import.meta.url), text)
  write('docs/configuration.md', renderConfigurationPage())
  write('config/gatehouse.schema.json', renderEditorSchema(builtInPlugins))
}
