// Code for OpenAI's SDK, durable by a change of its base URL. Needs an instance (`npm start`).
import OpenAI from 'openai';

const url = process.env.O3Q_URL ?? 'http://127.0.0.1:3000';
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: process.env.O3Q_API_KEY ?? 'none' });

// In the background: this program may end now, and another one read the answer tomorrow.
let response = await client.responses.create({
  model: 'o3',
  input: 'Why is the sky blue?',
  background: true,
});
while (response.status === 'queued' || response.status === 'in_progress') {
  await new Promise((resolve) => setTimeout(resolve, 500));
  response = await client.responses.retrieve(response.id);
}
console.log(response.status, response.output_text);

// As a stream that goes on where it broke off, after any number of seconds or days.
let id = '';
let last = -1;
const events = await client.responses.create({
  model: 'o3',
  input: 'Why is the sea blue?',
  background: true,
  stream: true,
});
for await (const event of events) {
  if (event.type === 'response.created') id = event.response.id;
  last = event.sequence_number;
  if (event.type === 'response.output_text.delta') {
    process.stdout.write(event.delta);
    break; // As if the connection had broken.
  }
}
for await (const event of await client.responses.retrieve(id, { stream: true, starting_after: last })) {
  if (event.type === 'response.output_text.delta') process.stdout.write(event.delta);
}
console.log();

// In the foreground: held open for as long as the model thinks, and bought once however often the SDK tries.
const waited = await client.responses.create({ model: 'o3', input: 'Why is grass not blue?' });
console.log(waited.output_text);

// As a chat, for programs that know no responses. It is a response all the same, and as durable.
const chat = await client.chat.completions.create({
  model: 'o3',
  messages: [{ role: 'user', content: 'Why is snow not blue?' }],
  stream: true,
});
for await (const { choices } of chat) process.stdout.write(choices[0]?.delta.content ?? '');
console.log();
