import { Document, isCollection, isMap, isNode, isScalar, isSeq } from 'yaml'
import type { LoadedConfig, Origin } from './config.ts'
import { pointerTo } from './json-value.ts'
import { escapeVariables } from './variables.ts'

/** The effective configuration as YAML, secrets masked, each value with a comment that tells where it came from. */
export function showConfig({ file, effective, origins }: LoadedConfig): string {
  const document = new Document(effective, { aliasDuplicateObjects: false })
  const annotate = (node: unknown, pointer: string) => {
    const origin = origins.get(pointer)
    if (origin && isNode(node)) node.comment = ` ${describeOrigin(origin, file)}`
    // What is printed means the same where it is read again.
    if (isScalar(node) && typeof node.value === 'string') node.value = escapeVariables(node.value)
    // Else the comment of an empty list goes to a line of its own.
    if (isCollection(node)) node.flow = node.items.length === 0
    if (isSeq(node)) node.items.forEach((item, index) => void annotate(item, pointerTo(pointer, index)))
    if (isMap(node)) {
      for (const { key, value } of node.items)
        annotate(value, pointerTo(pointer, isScalar(key) ? String(key.value) : ''))
    }
  }
  annotate(document.contents, '')
  return document.toString({ lineWidth: 0 })
}

/** Where a value came from, in a few words. */
function describeOrigin(origin: Origin, file: string): string {
  switch (origin.from) {
    case 'file':
      return `${file}:${origin.line}`
    case 'default':
      return 'default'
    case 'environment':
      return `environment ${origin.names.join(', ')}, ${file}:${origin.line}`
    case 'secret_file':
      return `secret file ${origin.path}, ${file}:${origin.line}`
  }
}
