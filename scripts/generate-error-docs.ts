/** Writes docs/errors from the catalogue: `node scripts/generate-error-docs.ts`. test/errors.test.ts notices drift. */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { catalogue, type ErrorCode, errorType } from '../src/errors.ts'

const NOTICE = '<!-- Made from src/errors.ts by scripts/generate-error-docs.ts. Do not edit. -->'

/** Every page by file name: one per code and a list of all. */
export function renderErrorPages(): ReadonlyMap<string, string> {
  const codes = Object.keys(catalogue) as ErrorCode[]
  return new Map([
    ['README.md', renderList(codes)],
    ...codes.map(code => [`${code}.md`, renderPage(code)] as const),
  ])
}

function renderPage(code: ErrorCode): string {
  const { status, title, hint, developer, operator, audience } = catalogue[code]
  return `${NOTICE}
# ${code}

**${title}** · HTTP ${status} · \`${errorType(code)}\`${audience === 'public' ? '' : ' · admin listener only'}

## What it means
${hint}

## What the developer of the app does
${developer}

## What the operator does
${operator}
`
}

function renderList(codes: readonly ErrorCode[]): string {
  const rows = codes.map(
    code => `| [\`${code}\`](${code}.md) | ${catalogue[code].status} | ${catalogue[code].title} |`,
  )
  return `${NOTICE}
# Errors

Every error is \`application/problem+json\` (RFC 9457). Switch on \`code\`: codes are never renamed or reused.

| code | status | title |
|---|---|---|
${rows.join('\n')}
`
}

if (import.meta.main) {
  const folder = fileURLToPath(new URL('../docs/errors/', import.meta.url))
  mkdirSync(folder, { recursive: true })
  for (const name of readdirSync(folder)) rmSync(`${folder}${name}`)
  for (const [name, text] of renderErrorPages()) writeFileSync(`${folder}${name}`, text)
}
