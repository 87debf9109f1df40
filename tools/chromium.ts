// Finds a Chromium for the browser tests, or installs one. CHROMIUM names another executable.
import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, readFileSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'

const env = process.env
const home = homedir()
const windowsRoots = [env['PROGRAMFILES'], env['PROGRAMFILES(X86)'], env['LOCALAPPDATA']]

const usual: string[] =
  process.platform === 'darwin'
    ? ['/Applications', join(home, 'Applications')].flatMap((folder) => [
        join(folder, 'Chromium.app/Contents/MacOS/Chromium'),
        join(folder, 'Google Chrome.app/Contents/MacOS/Google Chrome'),
      ])
    : process.platform === 'win32'
      ? windowsRoots.flatMap((root) =>
          root === undefined
            ? []
            : [
                join(root, 'Chromium/Application/chrome.exe'),
                join(root, 'Google/Chrome/Application/chrome.exe'),
              ],
        )
      : ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'].map(
          (name) => `/usr/bin/${name}`,
        )

const playwrightCache =
  env['PLAYWRIGHT_BROWSERS_PATH'] ??
  (process.platform === 'darwin'
    ? join(home, 'Library/Caches/ms-playwright')
    : process.platform === 'win32'
      ? join(env['LOCALAPPDATA'] ?? home, 'ms-playwright')
      : join(env['XDG_CACHE_HOME'] ?? join(home, '.cache'), 'ms-playwright'))

const chromeForTesting = 'Google Chrome for Testing.app/Contents/MacOS/Google Chrome for Testing'
const insidePlaywright = [
  'chrome-linux/chrome',
  'chrome-linux64/chrome',
  'chrome-mac/Chromium.app/Contents/MacOS/Chromium',
  `chrome-mac-x64/${chromeForTesting}`,
  `chrome-mac-arm64/${chromeForTesting}`,
  'chrome-win/chrome.exe',
  'chrome-win64/chrome.exe',
]

function usable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    // Ubuntu's chromium-browser is a script that only says to install a snap.
    const stub = path.endsWith('/chromium-browser') && !existsSync('/snap/bin/chromium')
    return !stub || !readFileSync(path).includes('/snap/bin/chromium')
  } catch {
    return false
  }
}

function fromPlaywright(): string[] {
  try {
    return readdirSync(playwrightCache)
      .filter((name) => /^chromium-\d+$/.test(name))
      .toSorted((a, b) => Number(b.slice(9)) - Number(a.slice(9)))
      .flatMap((name) => insidePlaywright.map((path) => join(playwrightCache, name, path)))
  } catch {
    return []
  }
}

const find = (): string | undefined => [...usual, ...fromPlaywright()].find(usable)

function run(command: string, ...args: string[]): boolean {
  console.error(`no Chromium found, trying: ${[command, ...args].join(' ')}`)
  const { status } = spawnSync(command, args, {
    stdio: ['ignore', 2, 2],
    timeout: 600_000,
    env: { ...env, DEBIAN_FRONTEND: 'noninteractive' },
  })
  return status === 0
}

function install(): string | undefined {
  if (process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')) {
    run('apt-get', 'update', '-q')
    run('apt-get', 'install', '-y', '-q', '--no-install-recommends', 'chromium')
    const found = find()
    if (found !== undefined) return found
  }
  const playwright = dirname(createRequire(import.meta.url).resolve('playwright-core/package.json'))
  run(process.execPath, join(playwright, 'cli.js'), 'install', 'chromium', '--no-shell')
  return find()
}

function locate(): string {
  const named = env['CHROMIUM']
  if (named) {
    if (usable(named)) return named
    throw new Error(`CHROMIUM names ${named}, which is not an executable file`)
  }
  const found = find() ?? install()
  if (found !== undefined) return found
  throw new Error(
    'The browser tests need Chromium and none was found: install it (Debian: apt-get install ' +
      'chromium; elsewhere: npx playwright-core install chromium) or set CHROMIUM to its path.',
  )
}

/** The path of the Chromium executable. */
export const chromium: string = locate()

/** Flags for a headless Chromium that talks to nobody but the page under test. */
export const chromiumArgs: string[] = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]
