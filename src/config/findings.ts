/** Collects what is wrong while the file is read, in any order. */
import type { Source } from './source.ts'

/** UTF-16 offsets into the text of the file, the end not included. */
export interface Span {
  readonly start: number
  readonly end: number
}

export interface Finding {
  readonly severity: 'error' | 'warning'
  /** Absent when the file as a whole is meant. */
  readonly span: Span | undefined
  readonly message: string
  readonly hint: string | undefined
}

export interface Findings {
  readonly all: readonly Finding[]
  /** Messages and hints are one line, without a full stop, and never hold a value of the file. */
  error(span: Span | undefined, message: string, hint?: string): void
  warning(span: Span | undefined, message: string, hint?: string): void
  /** The line in which a span starts, from 1. */
  lineOf(span: Span): number
}

/** An empty report on this file. */
export function createFindings(source: Source): Findings {
  const findings = new Map<string, Finding>()
  const add = (severity: Finding['severity'], span: Span | undefined, message: string, hint?: string) => {
    // What stands behind an alias is read once per use, and reported once.
    findings.set(`${span?.start} ${message}`, { severity, span, message, hint })
  }
  return {
    get all() {
      return [...findings.values()]
    },
    error: (span, message, hint) => add('error', span, message, hint),
    warning: (span, message, hint) => add('warning', span, message, hint),
    lineOf: span => source.position(span.start).line,
  }
}
