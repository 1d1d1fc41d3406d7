/** What the types of ldapauth-fork need of ldapjs, which has none. */
declare module 'ldapjs' {
  export interface ClientOptions {
    url: string
    reconnect?: boolean
  }
  export type ErrorCallback = (error?: Error) => void
}
