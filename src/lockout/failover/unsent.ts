import type { Clock } from '../../authentication/clock.ts'

/** What the shared store is still to be told: the newest, in their order. */
export interface Unsent {
  add(message: Message): void
  /** Sends what there is until one cannot be sent; never rejects. */
  send(): Promise<void>
  close(): void
}

export interface Message {
  /** Pointless from then on, on the monotonic clock. */
  readonly untilMs: number
  /** False if it could not be sent. */
  send(): Promise<boolean>
}

const MOST = 10_000
/** Where nobody asks anything meanwhile. */
const AGAIN_MS = 1_000

export function createUnsent(clock: Clock): Unsent {
  const messages: Message[] = []
  let isSending = false
  let timer: NodeJS.Timeout | undefined

  async function send(): Promise<void> {
    if (isSending) return
    isSending = true
    for (let next = messages[0]; next !== undefined; next = messages[0]) {
      if (next.untilMs > clock.now() && !(await next.send())) break
      // It may have had to go meanwhile.
      if (messages[0] === next) messages.shift()
    }
    isSending = false
    if (messages.length > 0) sendLater()
  }

  function sendLater(): void {
    if (timer !== undefined) return
    timer = setTimeout(() => {
      timer = undefined
      void send()
    }, AGAIN_MS)
    timer.unref()
  }

  return {
    add(message) {
      messages.push(message)
      if (messages.length > MOST) messages.shift()
      sendLater()
    },
    send,
    close() {
      clearTimeout(timer)
      messages.length = 0
    },
  }
}
