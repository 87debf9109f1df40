#!/usr/bin/env node
/** What the installed command starts. It looks at Node's version before anything is loaded that an older one cannot read. */

/** ML-KEM in WebCrypto. */
const NEEDED = [24, 7] as const

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major > NEEDED[0] || (major === NEEDED[0] && minor >= NEEDED[1])) {
  await import('./cli.ts')
} else {
  const needed = NEEDED.join('.')
  process.stderr.write(
    `keyferry: error: this is Node ${process.versions.node}, and keyferry needs ${needed} or newer\n` +
      `keyferry: hint: npm install --save-dev node@${NEEDED[0]}, then npx keyferry takes that one\n`,
  )
  process.exitCode = 3
}
