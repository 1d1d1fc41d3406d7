import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { Secret } from '../authentication/secret.ts'
import type { CommandContext } from './context.ts'
import { CommandFailure } from './failure.ts'

/** Far above any password: this only keeps a wrong file from being read to its end. */
const MAX_INPUT_BYTES = 64 * 1024

/**
 * Gets a password without it ever being an argument (cli.md): from standard input, one trailing newline dropped, or
 * asked for twice on a terminal that does not show it.
 *
 * @throws CommandFailure
 */
export async function readPassword(context: CommandContext, fromStdin: boolean): Promise<Secret> {
  if (fromStdin) return readStdin(context.stdin)
  if ('isTTY' in context.stdin && context.stdin.isTTY === true) return askTwice(context)
  throw new CommandFailure('there is no terminal to ask for the password on: use --password-stdin', 2)
}

async function readStdin(stdin: NodeJS.ReadableStream): Promise<Secret> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of stdin) {
    const buffer = Buffer.from(chunk)
    bytes += buffer.length
    if (bytes > MAX_INPUT_BYTES) throw new CommandFailure('standard input is too long to be a password')
    chunks.push(buffer)
  }
  return new Secret(decode(Buffer.concat(chunks)).replace(/\r?\n$/, ''))
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new CommandFailure('standard input is not UTF-8')
  }
}

async function askTwice({ stdin, stderr }: CommandContext): Promise<Secret> {
  // Whatever readline would echo goes nowhere.
  const output = new Writable({ write: (_chunk, _encoding, done) => done() })
  const terminal = createInterface({ input: stdin, output, terminal: true, historySize: 0 })
  const lines = terminal[Symbol.asyncIterator]()
  const ask = async (question: string): Promise<string> => {
    stderr.write(question)
    const line = await lines.next()
    stderr.write('\n')
    if (line.done) throw new CommandFailure('no password was given')
    return line.value
  }
  try {
    const password = await ask('Password (not shown): ')
    if ((await ask('The same again: ')) !== password) throw new CommandFailure('the two are not the same')
    return new Secret(password)
  } finally {
    terminal.close()
  }
}
