import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

/** RecordingUpstream records its requests and answers each at once. */
export interface RecordingUpstream {
  url: string;
  /** The body of each create request as it was sent. */
  received: { text: string; headers: IncomingHttpHeaders }[];
  close(): Promise<void>;
}

export async function openRecordingUpstream(): Promise<RecordingUpstream> {
  const received: RecordingUpstream['received'] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      // This upstream has no list of models.
      if (request.method === 'GET') return response.writeHead(404).end();
      const text = Buffer.concat(chunks).toString();
      received.push({ text, headers: request.headers });
      const body = responseTo(JSON.parse(text) as Record<string, unknown>, received.length);
      return response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    received,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The answer has an unknown field. */
function responseTo({ metadata, model }: Record<string, unknown>, count: number): object {
  const content = [{ type: 'output_text', text: 'Noted.', annotations: [], logprobs: [] }];
  return {
    id: `resp_upstream${count}`,
    object: 'response',
    created_at: 1_795_392_000,
    status: 'completed',
    background: true,
    model,
    metadata,
    output: [{ id: `msg_${count}`, type: 'message', status: 'completed', role: 'assistant', content }],
    usage: null,
    news_of_next_year: { kept: true },
  };
}
