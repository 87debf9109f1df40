/** A suite of suites.ts; null where it is absent. */
declare module 'virtual:suite/*' {
  const suite: unknown
  export default suite
}
