/** All attacks on a client. */
import { type Attack } from '../../lib/hostile-stage.ts'
import { distribution } from './distribution.ts'

export const attacks: readonly Attack[] = [...distribution]
