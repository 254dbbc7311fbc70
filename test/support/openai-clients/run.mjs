// Runs the cases of one client, in each of several ways to the model, all at once: Node and the client's modules
// are loaded once. argv: the program, the API, and a JSON object of base URLs by way. Prints the results as JSON.
const [program, api, waysJson] = process.argv.slice(2);
const { default: createClient } = await import(`./${program}.mjs`);

const CITIES = 'call weather with {"city": "Bern"} and call weather with {"city": "Rome"}';
const CASES = {
  text: ({ text }, name) => text(`${name} answers whole?`),
  stream: ({ stream }, name) => stream(`${name} streams?`),
  loop: ({ loop }, name) => loop(`${name} loops: ${CITIES}.`),
  streamedLoop: ({ streamedLoop }, name) => streamedLoop(`${name} loops and streams: ${CITIES}.`),
  structured: ({ structured }, name) => structured(`${name} answers in a schema (structured)?`),
  structuredInParts: (client, name) =>
    client.structuredInParts(`${name} answers in a schema (structuredInParts)?`),
  jsonMode: ({ jsonMode }, name) => jsonMode(`${name} answers in a schema (jsonMode)?`),
  jsonModeInParts: ({ jsonModeInParts }, name) =>
    jsonModeInParts(`${name} answers in a schema (jsonModeInParts)?`),
  refused: ({ refused }, name) => refused(`${name} is refused?`),
};
const CUT_CASES = {
  text: ({ text }, name) => text(`${name} is cut in its text?`),
  // A client does not resume a stream by itself. The program that uses it asks again.
  stream: ({ stream }, name) => {
    const question = `${name} is cut in its stream?`;
    return stream(question).catch(() => stream(question));
  },
};

const results = {};
for (const [way, url] of Object.entries(JSON.parse(waysJson))) {
  const client = createClient({ url, api });
  for (const [name, run] of Object.entries(way === 'cut' ? CUT_CASES : CASES)) {
    if (!(name in client)) continue;
    results[`${way} ${name}`] = run(client, `${program} ${api} ${way}`).catch((error) => ({
      error: { message: error.message, status: error.status ?? error.statusCode },
      stack: error.stack,
    }));
  }
}
const entries = Object.entries(results).map(async ([name, result]) => [name, await result]);
console.log(JSON.stringify(Object.fromEntries(await Promise.all(entries))));
// Some clients keep connections open.
process.exit(0);
