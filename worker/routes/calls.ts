/** What clients post: one URL for all of it, signed within the body, so that a page need not ask first whether it may. The body says which call it is. */
import { TEXT_TYPE } from '../../shared/api.ts'
import { callName, callSchema } from '../../shared/client-calls.ts'
import { relayError } from '../../shared/relay-codes.ts'
import { parseJson } from '../../shared/json.ts'
import { MAX_POST, MAX_REQUEST } from '../../shared/limits.ts'
import { answerByNow } from '../admission.ts'
import { type Route, type SignedCall } from '../call.ts'
import { nameCall } from '../observe.ts'
import { deliver, giveObject } from './delivery.ts'
import { addRequest, wait } from './mailbox.ts'

const MAX_WAIT_BODY = 1_024

function answer(call: SignedCall): Promise<Response> {
  const value = parseJson(call.body, MAX_REQUEST)
  const name = callName(value)
  nameCall(call.request, name)
  if (name === 'wait' && call.body.length > MAX_WAIT_BODY) throw relayError('ERR_TOO_LARGE')
  const asked = callSchema(value, '')
  switch (asked.call) {
    case 'delivery':
      return deliver(call, asked)
    case 'object':
      return giveObject(call, asked.hash)
    case 'request':
      return addRequest(call, asked)
    case 'wait':
      return wait(call, asked)
  }
}

export const callRoutes: readonly Route[] = [
  {
    method: 'POST',
    path: '/v1/:tenant/calls',
    type: TEXT_TYPE,
    limit: MAX_POST,
    signed: 'body',
    roles: ['client'],
    handle: (call: SignedCall) => answerByNow(call, answer),
  },
]
