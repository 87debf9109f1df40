// A validator that accepts everything: the runner has to notice it.
export const name = 'accepts everything'
export const verify = () => Promise.resolve({ ok: true })
