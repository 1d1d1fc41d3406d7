import type { Finding } from '../../../plugin.ts'
import { DirectoryFailure } from '../wire/failure.ts'

/**
 * What a search gives that no login makes.
 *
 * @returns undefined where the directory refused it, or took too long: this says nothing about a login
 * @throws what is no failure of the directory: a bug
 */
export async function quietly<T>(search: Promise<T>): Promise<T | undefined> {
  try {
    return await search
  } catch (error) {
    if (error instanceof DirectoryFailure) return undefined
    throw error
  }
}

/** The findings of such searches, up to the first that gives nothing. */
export async function* asFarAsKnown(findings: AsyncGenerator<Finding>): AsyncGenerator<Finding> {
  try {
    yield* findings
  } catch (error) {
    if (!(error instanceof DirectoryFailure)) throw error
  }
}
