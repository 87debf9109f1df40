import { mainSize } from './test/bench/bundle.ts'; console.log((await mainSize(['web/index.ts'])).gzip)
