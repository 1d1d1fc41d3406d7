import { styleText } from 'node:util'

type Style = 'red' | 'green' | 'yellow' | 'cyan' | 'bold' | 'dim'

/** Colours where they are wanted: on a terminal, without `NO_COLOR`. */
export type Paint = (style: Style, text: string) => string

export function createPaint(color: boolean): Paint {
  return (style, text) => (color ? styleText(style, text, { validateStream: false }) : text)
}

/**
 * Text from elsewhere on one line: what could move the cursor, start a line of its own or turn the direction of writing is
 * shown as `\u{…}` (security.md S78).
 */
export function visible(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/gu,
    character => `\\u{${character.codePointAt(0)?.toString(16)}}`,
  )
}
