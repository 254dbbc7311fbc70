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
      let connections = 0;
      source.addEventListener('open', () => {
        connections += 1;
      });
      source.addEventListener('delta', ({ data }) => deltas.push(JSON.parse(data).text));
      await new Promise((resolve) => source.addEventListener('done', resolve));
      source.close();
      const { answer: text, usage } = await (await fetch(`${base}/jobs/${id}/result`)).json();
      return { text, deltas, tokens: usage.total_tokens, connections };
    },
  };
}
