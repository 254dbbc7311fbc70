// Runs one client in one way. argv: the program, the way, the URL of an instance, that of a slow one, the path of `o3q`.
import { converse, print } from './shared.mjs';

const [name, way, url, slowUrl, program] = process.argv.slice(2);
const { open } = await import(`./${name}.mjs`);
print(await converse({ name, way, open }, { url, slowUrl, program }));
// Some clients keep connections open.
process.exit(0);
