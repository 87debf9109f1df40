/** What is made of an object once. */
import { expect, it } from 'vitest'
import { once } from '../../shared/once.ts'

it('is made once of each object, and again where it failed', async () => {
  let made = 0
  const number = once<object, Promise<number>>(() => {
    made++
    return made === 2 ? Promise.reject(new Error('for once')) : Promise.resolve(made)
  })
  const [one, other] = [{}, {}]
  expect([await number(one), await number(one)]).toEqual([1, 1])
  const together = [number(other), number(other)]
  for (const each of together) await expect(each).rejects.toThrow('for once')
  expect([await number(other), await number(other), await number(one)]).toEqual([3, 3, 1])
})

it('makes what is no promise once, too', () => {
  const of = once((key: { name: string }) => () => key.name)
  const key = { name: 'a' }
  expect(of(key)).toBe(of(key))
  expect(of({ name: 'a' })).not.toBe(of(key))
})
