/** The certificate and key that sign heads, kept fit: issued by the built-in CA and renewed, or read again from the customer's files. */
import { verifyRole } from '../shared/envelope.ts'
import { isKeyferryError } from '../shared/errors.ts'
import { type AnySigner } from '../shared/http-signature.ts'
import { type AnySigningKey } from '../shared/signature.ts'
import { type Issuer } from '../shared/issue.ts'
import { type TrustDocument } from '../shared/trust.ts'
import { parseCertificate } from '../shared/x509.ts'
import { certifyDeriver, issueDeriver } from './ca.ts'
import { parsedCrls } from './crls.ts'
import { isDeriverRevoked } from './deriver-certificates.ts'
import { type Store } from './store.ts'

/** Where a signer comes from: given, read again before each step, or issued by the built-in CA, for a key that stays or a new one each time. */
export type SignerSource =
  AnySigner | (() => Promise<AnySigner>) | { issuer: Issuer; uri: string; key?: AnySigningKey }

/** The signer of a running service. */
export interface SignerKeeper {
  /** The signer as {@link SignerKeeper.refresh} left it. */
  current(): AnySigner
  /** Whether there is one: not before the first refresh, which a restored database keeps waiting. */
  isThere(): boolean
  /** Takes a new certificate where the present one is due, revoked or of the future. Throws what the source throws while there is none. */
  refresh(): Promise<void>
  /** Whether others would take a head of this signer: its certificate holds, and lists that hold cover it. */
  canSign(trust: TrustDocument): Promise<boolean>
}

/** Keeps a signer. `now` in seconds; `alarm` is told what a person has to look after. */
export function keepSigner(
  store: Store,
  source: SignerSource,
  now: () => number,
  alarm: (what: string, by: string) => void,
): SignerKeeper {
  let signer: (AnySigner & { renewAt?: number }) | null = null

  /** New files may be there by half: what was read before goes on as long as it holds. */
  async function reload(read: () => Promise<AnySigner>): Promise<void> {
    try {
      signer = await read()
    } catch (error) {
      if (!isKeyferryError(error) || signer === null) throw error
      alarm('the files of the deriver certificate', error.message)
    }
  }

  async function renew(issuer: Issuer, uri: string, key?: AnySigningKey): Promise<void> {
    const isGood =
      signer !== null &&
      now() < signer.renewAt! &&
      // Not before, where the clock was ahead when it was issued.
      parseCertificate(signer.certificates[0]!).notBefore <= now() &&
      !isDeriverRevoked(store, signer.certificates[0]!)
    if (isGood) return
    let issued
    try {
      issued =
        key === undefined
          ? await issueDeriver(store, issuer, uri, now())
          : await certifyDeriver(store, issuer, uri, now(), key)
    } catch (error) {
      // By a clock from before the CA there is none to be had. Whether the one before is of use is seen when it signs.
      if (!isKeyferryError(error) || signer === null) throw error
      return alarm('the deriver certificate', error.message)
    }
    // Several instances do not all come at once.
    const early = Math.floor(((issued.renewAt - now()) / 10) * Math.random())
    signer = { ...issued, renewAt: issued.renewAt - early }
  }

  return {
    current: () => signer!,
    isThere: () => signer !== null,
    async refresh() {
      if (typeof source === 'function') await reload(source)
      else if ('issuer' in source) await renew(source.issuer, source.uri, source.key)
      else signer = source
    },
    async canSign({ body }) {
      try {
        const context = { trust: body, role: 'deriver', now: now() } as const
        await verifyRole(signer!.certificates, { ...context, crls: parsedCrls(store) })
        return true
      } catch (error) {
        if (!isKeyferryError(error)) throw error
        alarm('no heads are signed: the deriver certificate', error.message)
        return false
      }
    },
  }
}
