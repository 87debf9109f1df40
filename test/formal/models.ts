/** The formal models, and whether their tools are here. */
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Folder of the models. */
export const formal = fileURLToPath(new URL('.', import.meta.url))

/** Models by name: first those of Spin, then those of ProVerif. Each has a script and a recorded table. */
export const MODELS = [
  'generations',
  'authority',
  'release',
  'freshness',
  'keyferry',
  'mutants',
] as const

export function scriptOf(model: (typeof MODELS)[number]): string {
  return join(formal, `${model}.sh`)
}

/** Path of a program on PATH; `undefined` if it is not installed. */
export function findProgram(name: string): string | undefined {
  return (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK)
        return true
      } catch {
        return false
      }
    })
}
