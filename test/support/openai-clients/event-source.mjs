// EventSource on the events of a job. It comes back by itself after its connection broke.
import { EventSource } from 'eventsource';

export default function createClient({ url }) {
  const base = url.replace(/\/v1$/, '');
  return {
    stream: async (question) => {
      const answer = await fetch(`${base}/jobs`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ question }),
      });
      const { id } = await answer.json();
      const source = new EventSource(`${base}/jobs/${id}/events`);
      const deltas = [];
      source.addEventListener('delta', ({ data }) => deltas.push(JSON.parse(data).text));
      // While it waits to come back it keeps no program alive.
      const alive = setInterval(() => {}, 60_000);
      await new Promise((resolve) => source.addEventListener('done', resolve));
      clearInterval(alive);
      source.close();
      const { answer: text, usage } = await (await fetch(`${base}/jobs/${id}/result`)).json();
      return { text, deltas, tokens: usage.total_tokens };
    },
  };
}
