/** All attacks on a client. */
import { type Attack } from '../../lib/hostile-stage.ts'
import { distribution } from './distribution.ts'
import { forms } from './forms.ts'
import { keys } from './keys.ts'
import { messages } from './messages.ts'
import { senders } from './senders.ts'
import { tabs } from './tabs.ts'
import { weaknesses } from './weaknesses.ts'
import { withholding } from './withholding.ts'

export const attacks: readonly Attack[] = [
  ...distribution,
  ...keys,
  ...forms,
  ...messages,
  ...senders,
  ...withholding,
  ...weaknesses,
  ...tabs,
]
