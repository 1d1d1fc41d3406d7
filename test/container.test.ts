import { readdir, readFile } from 'node:fs/promises'
import { validate } from 'dockerfile-utils'
import t from 'tap'
import { parse } from 'yaml'
import { environmentOf, inherited, parseDockerfile, wordsOf } from '../scripts/container/dockerfile.ts'

const read = (name: string) => readFile(new URL(`../${name}`, import.meta.url), 'utf8')
const dockerfile = await read('Dockerfile')
const stages = parseDockerfile(dockerfile)
const image = stages.at(-1)
if (image === undefined) throw new Error('the Dockerfile has no stage')
const { services, configs, secrets, volumes } = parse(await read('compose.yaml'))
const { gatehouse } = services

t.test('the Dockerfile', async t => {
  t.test('passes the linter', async t => {
    t.same(validate(dockerfile), [])
    t.not(validate(dockerfile.replace('USER', 'USERS')).length, 0, 'which does find things')
  })

  t.test('pins its one base image to the Node that the tests run on', async t => {
    const names = new Set(stages.map(({ name }) => name))
    const bases = stages.map(({ from }) => from).filter(from => !names.has(from))
    const { devDependencies } = JSON.parse(await read('package.json'))
    t.same(bases, [`node:${devDependencies.node}-trixie-slim`])
  })

  t.test('fetches nothing but what the lock file names', async t => {
    const all = stages.flatMap(({ instructions }) => instructions)
    t.same(
      all.filter(({ keyword }) => keyword === 'ADD'),
      [],
    )
    const commands = all.filter(({ keyword }) => keyword === 'RUN').map(({ rest }) => rest)
    t.notMatch(commands.join('\n'), /curl|wget|https?:|apt-get|npm (i|install|exec)\b|(^|[;&] *)npx/m)
    t.match(commands.join('\n'), /npm ci --omit=dev/)
  })

  t.test(
    'takes the production dependencies and the build into the image, and no package manager',
    async t => {
      const copied = image.instructions.filter(({ keyword }) => keyword === 'COPY')
      t.match(copied, [
        { flags: { from: 'dependencies' }, rest: /node_modules$/ },
        { flags: { from: 'build' }, rest: /dist$/ },
        { flags: {}, rest: 'package.json ./' },
      ])
      t.equal(copied.length, 3)
      t.match(
        image.instructions.find(({ keyword }) => keyword === 'RUN')?.rest,
        /rm -rf .*lib\/node_modules.*bin\/npm/,
      )
    },
  )

  t.test(
    'runs as a numbered user that is not root, the daemon as process 1 with its health watched',
    async t => {
      t.match(inherited(stages, image, 'USER').at(-1)?.rest, /^[1-9]\d*:[1-9]\d*$/)
      t.same(wordsOf(inherited(stages, image, 'ENTRYPOINT').at(-1)?.rest ?? ''), [
        'node',
        '/opt/gatehouse/dist/main.js',
      ])
      t.match(inherited(stages, image, 'HEALTHCHECK').at(-1)?.rest, /^CMD \["node", .*\/livez/)
      t.same(environmentOf(stages, image), {
        NODE_ENV: 'production',
        GATEHOUSE_CONFIG: '/etc/gatehouse/gatehouse.yaml',
      })
    },
  )

  t.test('bakes no secret in', async t => {
    const words = stages.flatMap(({ instructions }) =>
      instructions.filter(({ keyword }) => /ENV|ARG/.test(keyword)),
    )
    t.notMatch(words.map(({ rest }) => rest).join('\n'), /pass|secret|key|token/i)
  })
})

t.test('.dockerignore lets in what the build copies, and nothing else', async t => {
  const lines = (await read('.dockerignore')).split('\n').filter(line => line !== '' && !line.startsWith('#'))
  t.equal(lines[0], '*')
  const allowed = lines.slice(1).map(line => line.slice(1))
  const copied = stages
    .flatMap(({ instructions }) => instructions)
    .filter(({ keyword, flags }) => keyword === 'COPY' && flags.from === undefined)
    .flatMap(({ rest }) => wordsOf(rest).slice(0, -1))
  t.same([...allowed].sort(), [...new Set(copied)].sort())
  const top = await readdir(new URL('..', import.meta.url))
  for (const name of allowed) t.ok(top.includes(name.split('/')[0] ?? ''), `${name} exists`)
})

t.test('compose.yaml', async t => {
  t.test('takes away what the daemon does not need', async t => {
    t.match(gatehouse, {
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
      tmpfs: [/^\/tmp:.*noexec,nosuid,nodev/],
    })
    t.notOk('privileged' in gatehouse || 'cap_add' in gatehouse || 'network_mode' in gatehouse)
    t.ok(gatehouse.mem_limit && gatehouse.cpus && gatehouse.pids_limit && gatehouse.ulimits.nofile)
  })

  t.test('publishes only on this machine, and not the admin listener', async t => {
    t.same(gatehouse.ports, ['127.0.0.1:8470:8470'])
  })

  t.test('brings secrets as files, and keeps its data in a volume', async t => {
    t.same(gatehouse.secrets, Object.keys(secrets))
    for (const name of gatehouse.secrets) t.match(configs.gatehouse.content, `/run/secrets/${name}`)
    t.notOk('environment' in gatehouse)
    const [volume, path] = gatehouse.volumes[0].split(':')
    t.ok(volume in volumes)
    t.equal(inherited(stages, image, 'VOLUME').at(-1)?.rest, path)
    t.match(parse(configs.gatehouse.content).database, `${path}/`)
  })

  t.test('mounts its configuration where the image looks for it, and waits for the shutdown', async t => {
    t.equal(gatehouse.configs[0].target, environmentOf(stages, image).GATEHOUSE_CONFIG)
    t.ok(gatehouse.healthcheck.interval)
    t.ok(Number.parseInt(gatehouse.stop_grace_period, 10) > 10)
  })
})
