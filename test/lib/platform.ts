/** False where the tests run on noble. */
export const hasWebCrypto: boolean = 'SubtleCrypto' in globalThis
