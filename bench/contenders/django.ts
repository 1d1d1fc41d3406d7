/** Django and django-auth-ldap behind gunicorn, tuned: a bare view, no middleware, no sessions, no write at a login. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { corpService } from '../../test/support/corp.ts'
import type { DebianProgram } from '../../test/support/debian.ts'
import type { Contender } from '../contender.ts'
import type { BenchPerson } from '../directory.ts'
import { jsonLogin } from './http.ts'
import { ldapUrl, provide, serve } from './serve.ts'

const PROJECT = fileURLToPath(new URL('.', import.meta.url))
const WORKERS = 4
const THREADS = 4

export const django: Contender = {
  name: 'Django + django-auth-ldap',
  remark: `3.2 on gunicorn, ${WORKERS} workers × ${THREADS} threads, SQLite with everybody's row, no middleware, no sessions`,
  async start(directory, folder) {
    const program = await provide({
      name: 'python3-django',
      program: '/usr/bin/gunicorn',
      also: ['python3-django-auth-ldap', 'gunicorn'],
      prober: '/usr/bin/python3',
      probe: ['-c', 'import django, django_auth_ldap, gunicorn'],
      overlay: true,
    })
    await mkdir(folder, { recursive: true })
    const env = {
      ...program.env,
      PYTHONPATH: PROJECT,
      PYTHONDONTWRITEBYTECODE: '1',
      LOGIN_DATABASE: join(folder, 'people.sqlite'),
      LOGIN_LDAP_URL: ldapUrl(directory),
      LOGIN_BIND_DN: corpService.dn,
      LOGIN_BIND_PASSWORD: corpService.password,
      LOGIN_BASE: directory.slapd.baseDn,
    }
    await fillDatabase(program, env, directory.people)
    return serve(directory, folder, async port => {
      const address = `127.0.0.1:${port}`
      return {
        protocol: 'http',
        address,
        request: jsonLogin,
        accepted: '200',
        refused: '401',
        command: [
          ...program.prefix,
          program.path,
          ...['--bind', address, '--workers', `${WORKERS}`, '--threads', `${THREADS}`],
          // Connections are kept only by this kind of worker.
          ...['--worker-class', 'gthread', '--keep-alive', '60', '--worker-tmp-dir', folder],
          ...['--log-level', 'error', '--preload', 'django_login:application'],
        ],
        env,
      }
    })
  },
}

async function fillDatabase(
  program: DebianProgram,
  env: Readonly<Record<string, string>>,
  people: readonly BenchPerson[],
): Promise<void> {
  const [command = '', ...args] = [...program.prefix, '/usr/bin/python3', join(PROJECT, 'django_login.py')]
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['pipe', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', text => {
    said += text
  })
  child.stdin.end(people.map(({ uid }) => uid).join('\n'))
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`Django's database was not made (${code}):\n${said.slice(-4_000)}`)
}
