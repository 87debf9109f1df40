/** WebCrypto alone, as in a page: what else Node has stays unused until the test is over. */
import { onTestFinished } from 'vitest'
import { installSubtle, subtle } from '../../shared/platform.ts'
import { hasWebCrypto } from './platform.ts'

export function useWebCryptoAlone(): SubtleCrypto {
  const platform = subtle()
  if (hasWebCrypto) {
    installSubtle(platform)
    onTestFinished(() => installSubtle(undefined))
  }
  return platform
}
