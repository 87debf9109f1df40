/** All attacks on a client. */
import { type Attack } from '../../lib/hostile-stage.ts'
import { keys } from './keys.ts'
import { distribution } from './distribution.ts'
import { forms } from './forms.ts'

export const attacks: readonly Attack[] = [...distribution, ...keys, ...forms]
