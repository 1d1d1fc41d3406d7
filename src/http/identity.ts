/** A user as apps see them (api.md, POST /authenticate). */
import { type Static, Type } from 'typebox'
import type { Identity } from '../authentication/outcome.ts'

/** It also is the list of what may leave: whatever else a user object holds is left out (security.md S70). */
export const UserSchema = Type.Object({
  id: Type.String({ description: 'Backend id and stable id; never changes, also when the user is renamed' }),
  backend: Type.String(),
  username: Type.String(),
  display_name: Type.Optional(Type.String()),
  email: Type.Optional(Type.String()),
  groups: Type.Array(Type.String()),
  roles: Type.Array(Type.String()),
  // Not a Record: its pattern would lose names with a line break in them.
  attributes: Type.Unsafe<Identity['attributes']>({
    type: 'object',
    additionalProperties: Type.Union([Type.String(), Type.Array(Type.String())]),
  }),
})

export function presentUser(user: Identity): Static<typeof UserSchema> {
  const { id, backend, username, displayName, email, groups, roles, attributes } = user
  return {
    id,
    backend,
    username,
    display_name: displayName,
    email,
    groups: groups as string[],
    roles: roles as string[],
    attributes,
  }
}
