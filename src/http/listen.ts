/** Listening where the configuration says, or saying which option is in the way. */

export interface Address {
  readonly host: string
  readonly port: number
}

/**
 * @param section of the configuration that holds the address
 * @throws Error in words for the operator, with the system's error as its cause and the same `code`
 */
export async function listenAt(
  section: 'listen' | 'admin',
  server: { listen(address: Address): Promise<unknown> },
  { host, port }: Address,
): Promise<void> {
  try {
    await server.listen({ host, port })
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    const why = whyNot(section, { host, port }, code)
    if (why === undefined) throw error
    throw Object.assign(new Error(why, { cause: error }), { code })
  }
}

function whyNot(section: string, { host, port }: Address, code: unknown): string | undefined {
  const place = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
  switch (code) {
    case 'EADDRINUSE':
      return `${section}.port: another process listens on ${place} (${code}): stop it, or choose another port`
    case 'EACCES':
      return `${section}.port: this user may not listen on ${place} (${code}): choose a port above 1023, or give the right (CAP_NET_BIND_SERVICE)`
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return `${section}.host: this machine has no address ${host} (${code}): name one that it has`
    default:
      return undefined
  }
}
