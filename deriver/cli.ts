/** The command line as a process. */
import { main, outliveOutput, showWarnings } from './main.ts'

showWarnings()
outliveOutput()
process.exitCode = await main(process.argv.slice(2))
