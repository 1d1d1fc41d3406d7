import t from 'tap'
import { listenAt } from '../../src/http/listen.ts'

const refusing = (code: string) => ({
  listen: () => Promise.reject(Object.assign(new Error(`listen ${code}`), { code })),
})

t.test('where the daemon cannot listen it names the option', async t => {
  const rows: [code: string, message: RegExp][] = [
    ['EADDRINUSE', /^admin\.port: another process listens on \[::1\]:8471 /],
    ['EACCES', /^admin\.port: this user may not listen on \[::1\]:8471 /],
    ['EADDRNOTAVAIL', /^admin\.host: this machine has no address ::1 /],
    ['ENOTFOUND', /^admin\.host: this machine has no address ::1 /],
    ['EMFILE', /^listen EMFILE$/],
  ]
  for (const [code, message] of rows) {
    await t.rejects(listenAt('admin', refusing(code), { host: '::1', port: 8471 }), { code, message })
  }
})
