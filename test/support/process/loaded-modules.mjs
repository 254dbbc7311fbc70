// Prints the URL of every file that importing the module of the first argument loads: ES modules as they are
// loaded, CommonJS ones from the cache of `require`.
import { createRequire, register } from 'node:module';

const hooks = `import { writeSync } from 'node:fs';
export async function load(url, context, next) {
  writeSync(1, url + '\\n');
  return next(url, context);
}`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);
await import(process.argv[2]);
for (const file of Object.keys(createRequire(import.meta.url).cache)) console.log(`file://${file}`);
