/** Tabs that share one store and are each shown something else (threats 3.5). */
import { type StoredState } from '../../../web/store.ts'
import { type Attack } from '../../lib/hostile-stage.ts'

const TABS = 8

export const tabs: readonly Attack[] = [
  {
    row: '3.5 tabs racing: eight of them, some shown an older head, none takes the others back',
    actor: 'relay',
    code: 'ERR_ROLLBACK',
    victims: ['held'],
    isRefused: false,
    async play(stage) {
      const { relay, store, identity } = stage
      const publications = [relay.publication!]
      for (let i = 1; i < TABS; i++) {
        await stage.next()
        publications.push(relay.publication!)
      }
      const heads: number[] = []
      const write = store.write.bind(store)
      store.write = (state: StoredState) => {
        heads.push(state.accepted?.head.version ?? 0)
        return write(state)
      }
      const all = await Promise.all(
        publications.map(() => relay.connect({ store, identity: { ...identity } })),
      )
      // Each answer is of another head, the newest and the oldest first.
      const order = [...publications.keys()].toSorted((a, b) => (a % 3) - (b % 3) || b - a)
      relay.interfere = () => {
        relay.publication = publications[order.shift() ?? 0]!
        return undefined
      }
      const asked = await Promise.allSettled(all.map((tab) => tab.refresh()))
      for (const tab of all) tab.close()
      stage.after = () => {
        if (heads.length === 0 || heads.some((one, i) => one < (heads[i - 1] ?? 0)))
          throw new Error(`it went back: ${heads.join(' ')}`)
        if (asked.every(({ status }) => status === 'rejected'))
          throw new Error('nobody got through')
      }
      stage.restore = () => {
        store.write = write
      }
    },
  },
]
