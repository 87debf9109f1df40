/** The web app's side of "Be the insider": who wants the relay to do what, and what every browser makes of it. */
import { type Customer } from './customer.ts'
import { GUEST, joinGuest } from './guest.ts'
import { HttpError, readJson, sendJson, textField } from './http.ts'
import { ATTACKS, type Attack, type Insider } from './insider.ts'
import { type Route } from './server.ts'

/** What a browser says of itself. */
interface View {
  name: string
  /** Version of the head that it accepted last. */
  head: number
  /** How it refused the relay's answers; empty if it did not. */
  code: string
}

/** What the routes work with. */
export interface InsiderOptions {
  insider: Insider
  /** Names of the open pages. */
  present: () => string[]
  /** Tells the pages that there is something new. */
  tell: () => void
}

/** Begins an attack, with what has to happen at Acme for it to be one. */
async function begin(
  insider: Insider,
  attack: Attack,
  by: string,
  customer: Customer,
): Promise<void> {
  if (attack === 'revocation') await joinGuest(customer)
  insider.playing = { attack, by }
  if (attack === 'revocation') customer.revoke(GUEST)
  // There is something new to be asked for, and to be bent.
  else customer.publish()
}

/** The routes by method and path. */
export function insiderRoutes({ insider, present, tell }: InsiderOptions): Record<string, Route> {
  const views = new Map<string, View>()
  let round = 0
  let turn: Promise<void> = Promise.resolve()

  function play(attack: Attack | null, by: string, customer: Customer): Promise<void> {
    const next = async (): Promise<void> => {
      round++
      insider.playing = null
      if (attack !== null) await begin(insider, attack, by, customer)
    }
    turn = turn
      .catch(() => {})
      .then(next)
      .finally(tell)
    return turn
  }

  return {
    'GET /insider': ({ response }) => {
      const open = present()
      sendJson(response, {
        playing: insider.playing,
        round,
        views: [...views.values()]
          .filter(({ name }) => open.includes(name))
          .toSorted((a, b) => a.name.localeCompare(b.name)),
      })
    },
    'POST /insider': async ({ request, response, customer, name }) => {
      const asked = textField(await readJson(request, 1_000), 'attack', /^[a-z]{1,20}$/)
      const attack = ATTACKS.find((one) => one === asked) ?? null
      if (attack === null && asked !== 'none')
        throw new HttpError(400, 'MALFORMED', 'no such attack')
      await play(attack, name, customer)
      sendJson(response, {})
    },
    'POST /seen': async ({ request, response, name }) => {
      const body = await readJson(request, 1_000)
      const code = body['code'] === '' ? '' : textField(body, 'code', /^[A-Z_]{1,40}$/)
      views.set(name, { name, head: Number(textField(body, 'head', /^\d{1,15}$/)), code })
      sendJson(response, {})
      tell()
    },
  }
}
