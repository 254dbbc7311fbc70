import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ReceivedWebhook {
  headers: IncomingHttpHeaders;
  body: string;
}

/** WebhookReceiver is a server that accepts webhooks and answers as the test says. */
export interface WebhookReceiver {
  url: string;
  /** The webhooks in the order of their arrival. */
  received: ReceivedWebhook[];
  /** The number of connections, also of those without a request. */
  readonly connections: number;
  close(): Promise<void>;
}

/**
 * @param answer returns the status for the nth webhook, from 0. A 3xx redirects to this server; 0 never
 * answers.
 */
export async function openWebhookReceiver(
  answer: (n: number) => number = () => 200,
): Promise<WebhookReceiver> {
  const received: ReceivedWebhook[] = [];
  let connections = 0;
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const status = answer(received.length);
    received.push({ headers: request.headers, body: Buffer.concat(chunks).toString('utf8') });
    if (status === 0) return;
    response
      .writeHead(status, status < 400 && status >= 300 ? { location: '/elsewhere' } : {})
      .end(`said ${status}`);
  });
  server.on('connection', () => {
    connections += 1;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    received,
    get connections() {
      return connections;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
