// What all programs ask, in one order.

/** Prints what a client saw, as JSON. */
export const print = (seen) => console.log(JSON.stringify(seen));

/** The id of a job in a text. */
export const idIn = (text) => /job_[0-9a-f]{32}/.exec(text)?.[0];

/**
 * Asks, looks and reads at one instance, and cancels at another one, whose model thinks for an hour.
 * `listTools` returns the names of the tools; `callTool` returns `{text, isError}` as the client shows it to its model.
 */
export async function converse({ name, way, open }, { url, slowUrl, program }) {
  const target = (at) => ({
    url: new URL('/mcp', at).href,
    command: process.execPath,
    args: [program, 'mcp'],
    env: { O3Q_URL: at },
  });
  const client = await open(way, target(url));
  const question = `${name} asks over ${way}?`;
  const tools = await client.listTools();
  const asked = await client.callTool('ask_o3', { question });
  const id = idIn(asked.text);
  const status = await client.callTool('check_o3_status', { id });
  const result = await client.callTool('get_o3_result', { id, wait_s: 50 });
  const joined = await client.callTool('ask_o3', { question });
  const again = await client.callTool('ask_o3', { question, again: true, wait_s: 50 });
  const unknown = await client.callTool('get_o3_result', { id: 'job_invented' });
  await client.close();

  const slow = await open(way, target(slowUrl));
  const hopeless = await slow.callTool('ask_o3', { question: `${name} cancels over ${way}?` });
  const slowId = idIn(hopeless.text);
  // A job is active a moment before its response is bought.
  for (let bought; !bought; ) bought = (await (await fetch(`${slowUrl}/jobs/${slowId}`)).json()).upstream_id;
  const cancelled = await slow.callTool('cancel_o3', { id: slowId });
  await slow.close();
  return { question, tools, id, asked, status, result, joined, again, unknown, slowId, cancelled };
}

/** The texts of a result of MCP. */
export const textOf = (content) => content.map(({ text }) => text).join('\n');
