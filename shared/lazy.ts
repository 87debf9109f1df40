/** Code that is loaded when it is first needed, in a chunk of its own where an app is bundled in chunks. */
import { KeyferryError } from './errors.ts'

/** The module that `load` imports. Throws `ERR_IO` when it does not arrive, so that nobody takes that for a platform that lacks something. */
export async function lazily<T>(load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (cause) {
    throw new KeyferryError('ERR_IO', 'a part of the client cannot be loaded', { cause })
  }
}
