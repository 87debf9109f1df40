/** The command line as a process. */
import { main, showWarnings } from './main.ts'

showWarnings()
process.exitCode = await main(process.argv.slice(2))
