/** "Be the insider": has the relay misbehave, and watches what this browser does about it. */
import { type InsiderNews, type Server } from './api.ts'
import { type Client } from './client.ts'
import { byId } from './dom.ts'
import { drawInsider, makeAttacks, type InsiderFacts } from './insider-panel.ts'
import { type Messages } from './messages.ts'

/** Milliseconds between two looks. */
const PACE = 700
/** These say that there was no answer, or no keyring yet, and not what was wrong with an answer. */
const NO_ANSWER = ['', 'ERR_RELAY', 'ERR_TIMEOUT', 'ERR_INTERNAL']

/** What the panel works with. */
export interface InsiderOptions {
  server: Server
  client: Client
  messages: Messages
  name: string
  isRevoked: () => boolean
  fail: (error: unknown) => void
}

export class InsiderPanel {
  readonly #options: InsiderOptions
  readonly #tried = new Map<string, string>()
  #news: InsiderNews = { playing: null, round: 0, views: [] }
  #starting = ''
  #code = ''
  #kept: InsiderFacts['kept'] = { opened: 0, of: 0 }
  #isCatchingUp = false
  #wasSplit = false
  #told = ''

  constructor(options: InsiderOptions) {
    this.#options = options
    makeAttacks((id) => this.#choose(id))
    byId('insider-stop').addEventListener('click', () => {
      // The button is about to be disabled: the keyboard stays where it was.
      byId('attacks').querySelector<HTMLElement>('[aria-pressed="true"]')?.focus()
      this.#choose('none')
    })
  }

  #choose(id: string): void {
    const { server, fail } = this.#options
    this.#starting = id === 'none' ? '' : id
    this.#draw()
    server
      .play(id)
      .catch(fail)
      .finally(() => {
        this.#starting = ''
        void this.news()
      })
  }

  /** Takes in what the relay does now. */
  async news(): Promise<void> {
    const news = await this.#options.server.insider()
    if (news.round < this.#news.round) return
    if (news.round !== this.#news.round) {
      this.#code = ''
      this.#isCatchingUp = news.playing === null
      if (news.playing !== null) this.#wasSplit = news.playing.attack === 'split'
    }
    this.#news = news
    this.#draw()
  }

  /** Watches for as long as the page is open. */
  async watch(): Promise<never> {
    for (;;) {
      // What fails is looked at again the next time.
      await this.#look().catch(() => {})
      this.#draw()
      await new Promise((resolve) => setTimeout(resolve, PACE))
    }
  }

  async #look(): Promise<void> {
    const { client, messages } = this.#options
    const { round, playing } = this.#news
    if (playing !== null && this.#code === '') {
      const code = await client.probe()
      if (round !== this.#news.round) return
      if (!NO_ANSWER.includes(code)) {
        this.#code = code
        this.#tried.set(playing.attack, code)
      }
    } else if (this.#isCatchingUp) {
      // Whoever came during an attack has no keyring yet.
      if (client.failure !== null) await client.open()
      const isWell = (await client.probe()) === ''
      if (isWell && round === this.#news.round) this.#isCatchingUp = false
    }
    this.#kept = await messages.check()
    await this.#tell()
  }

  /** The other pages hear of it when it is something new. */
  async #tell(): Promise<void> {
    const { client, server, isRevoked } = this.#options
    const seen = `${client.head} ${this.#code}`
    if (seen === this.#told || isRevoked()) return
    await server.seen(client.head, this.#code)
    this.#told = seen
  }

  #draw(): void {
    const { client, name, isRevoked } = this.#options
    const facts: InsiderFacts = {
      news: this.#news,
      name,
      starting: this.#starting,
      code: this.#code,
      tried: this.#tried,
      kept: this.#kept,
      head: client.head,
      freshness: client.freshness,
      isCatchingUp: this.#isCatchingUp,
      wasSplit: this.#wasSplit,
      isRevoked: isRevoked(),
    }
    drawInsider(facts, Math.floor(Date.now() / 1000))
  }
}
