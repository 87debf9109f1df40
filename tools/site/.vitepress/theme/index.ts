/** VitePress's own look without its fonts, in the colours of the console. */
import theme from 'vitepress/theme-without-fonts'
import './style.css'

export default theme
