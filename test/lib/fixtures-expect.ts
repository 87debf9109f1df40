/** Matchers on error codes; the texts of messages are never asserted. */
import { expect } from 'vitest'
import { isKeyferryError, KeyferryError, type ErrorCode } from '../../shared/errors.ts'

/** The code that work fails with, or `ok`. Every other kind of error is thrown on: it would be a bug. */
export async function outcome(work: Promise<unknown> | (() => unknown)): Promise<ErrorCode | 'ok'> {
  try {
    await (typeof work === 'function' ? work() : work)
    return 'ok'
  } catch (error) {
    if (error instanceof KeyferryError && isKeyferryError(error)) return error.code
    throw error
  }
}

/** Expects a `KeyferryError` with exactly this code. */
export async function expectCode(
  work: Promise<unknown> | (() => unknown),
  code: ErrorCode,
): Promise<void> {
  expect(await outcome(work)).toBe(code)
}
