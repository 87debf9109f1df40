/** Curves of growth as a picture: both axes logarithmic, so that a power is a straight line and its exponent the slope. */

const WIDTH = 800
const HEIGHT = 360
const LEFT = 84
const RIGHT = 340
const TOP = 16
const BOTTOM = 48
const COLORS = [
  '#0b6e99',
  '#b3541e',
  '#3f7d20',
  '#7a3e9d',
  '#a3204f',
  '#5c5c5c',
  '#b8860b',
  '#2a9d8f',
  '#6c4f3d',
  '#1f3a93',
]

type Point = { x: number; y: number }

/** Powers of ten from below the least to above the greatest. */
function decades(values: readonly number[]): number[] {
  const [from, to] = [
    Math.floor(Math.log10(Math.min(...values))),
    Math.ceil(Math.log10(Math.max(...values))),
  ]
  return Array.from({ length: Math.max(to - from, 1) + 1 }, (_, i) => from + i)
}

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')

const UNITS: readonly [power: number, unit: string][] = [
  [9, 'G'],
  [6, 'M'],
  [3, 'k'],
]

/** A power of ten, as people read it. */
function tick(power: number): string {
  const [from, unit] = UNITS.find(([least]) => power >= least) ?? [0, '']
  return power >= 0 ? 10 ** (power - from) + unit : (10 ** power).toFixed(-power)
}

/** An SVG picture of curves by name. `xTitle` and `yTitle` have the units. */
export function chart(
  curves: ReadonlyMap<string, readonly Point[]>,
  title: string,
  xTitle: string,
  yTitle: string,
): string {
  const all = [...curves.values()].flat()
  const xs = decades(all.map(({ x }) => x))
  const ys = decades(all.map(({ y }) => y))
  const place = (value: number, ticks: readonly number[], from: number, to: number): number =>
    from + ((Math.log10(value) - ticks[0]!) / (ticks.at(-1)! - ticks[0]!)) * (to - from)
  const left = (x: number): string => place(x, xs, LEFT, WIDTH - RIGHT).toFixed(1)
  const top = (y: number): string => place(y, ys, HEIGHT - BOTTOM, TOP).toFixed(1)
  const parts: (string | false)[] = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" font-family="sans-serif" font-size="12">`,
    `<title>${escape(title)}</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
  ]
  // Not every power has room for a number.
  const isNamed = (power: number, ticks: readonly number[]): boolean =>
    (power - ticks[0]!) % Math.ceil(ticks.length / 9) === 0
  for (const power of xs)
    parts.push(
      `<path d="M${left(10 ** power)} ${TOP}V${HEIGHT - BOTTOM}" stroke="#ddd"/>`,
      isNamed(power, xs) &&
        `<text x="${left(10 ** power)}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle" fill="#444">${tick(power)}</text>`,
    )
  for (const power of ys)
    parts.push(
      `<path d="M${LEFT} ${top(10 ** power)}H${WIDTH - RIGHT}" stroke="#ddd"/>`,
      isNamed(power, ys) &&
        `<text x="${LEFT - 8}" y="${Number(top(10 ** power)) + 4}" text-anchor="end" fill="#444">${tick(power)}</text>`,
    )
  parts.push(
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 10}" text-anchor="middle" fill="#222">${escape(xTitle)}</text>`,
    `<text transform="translate(14 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle" fill="#222">${escape(yTitle)}</text>`,
  )
  for (const [i, [name, points]] of [...curves].entries()) {
    const color = COLORS[i % COLORS.length]!
    const d = points.map(({ x, y }, n) => `${n === 0 ? 'M' : 'L'}${left(x)} ${top(y)}`).join('')
    const width = name.startsWith('keyferry') ? 3.5 : 1.5
    parts.push(`<path d="${d}" fill="none" stroke="${color}" stroke-width="${width}"/>`)
    for (const { x, y } of points)
      parts.push(`<circle cx="${left(x)}" cy="${top(y)}" r="3" fill="${color}"/>`)
    const y = TOP + 12 + 20 * i
    parts.push(
      `<path d="M${WIDTH - RIGHT + 12} ${y - 4}h18" stroke="${color}" stroke-width="${width}"/>`,
      `<text x="${WIDTH - RIGHT + 36}" y="${y}" fill="#222">${escape(name)}</text>`,
    )
  }
  return `${parts.filter((part) => part !== false).join('\n')}\n</svg>\n`
}
