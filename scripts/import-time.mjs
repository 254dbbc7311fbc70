// Prints how long importing a module takes, in milliseconds, each time in a fresh process: the smallest and
// the median of 15.   npm run build && node scripts/import-time.mjs o3-queue/client
import { execFileSync } from 'node:child_process';

const program = `const begun = performance.now(); await import('${process.argv[2]}'); console.log(performance.now() - begun);`;
const times = Array.from({ length: 15 }, () =>
  Number(execFileSync(process.execPath, ['--input-type=module', '--eval', program])),
).sort((a, b) => a - b);
console.log(
  `${process.argv[2]}: ${times[0]?.toFixed(0)} ms at best, ${times[7]?.toFixed(0)} ms in the median`,
);
