// A create in a process that has no free descriptor, and one after that. Runs the compiled code.
import { closeSync, openSync } from 'node:fs';
import { createUpstream } from '../../../dist/worker/upstream/client.js';

const upstream = createUpstream({ apiKey: 'sk-test', baseUrl: process.argv[2] });
const create = () =>
  upstream
    .create({ model: 'o3', input: 'Why?' }, { stream: false, signal: new AbortController().signal })
    .then(
      ({ response }) => `bought ${response.id}`,
      ({ name, code, message }) => `${name} ${code}: ${message}`,
    );

// The console opens its own descriptors at its first use.
process.stdout.write('');
const taken = [];
try {
  for (;;) taken.push(openSync('/dev/null', 'r'));
} catch {}
const without = await create();
for (const descriptor of taken) closeSync(descriptor);
process.stdout.write(`${without}\n${await create()}\n`);
await upstream.close();
