/** Django's tests/auth_tests, and django's other suites, as far as they are about logging in. */
import { LOCAL, openHouse } from './house.ts'
import { conforms } from './suite.ts'

conforms('D01', async t => {
  const house = await openHouse(t, { backends: [{ ...LOCAL, id: 'our-people' }] })
  const { username, password } = house.admin
  t.match(await house.login(username, password), { status: 200, body: { user: { backend: 'our-people' } } })
})
