import { request } from 'node:http';

/** WaitingCall is an HTTP call that is answered when its job has ended. */
export interface WaitingCall {
  method: 'GET' | 'POST';
  url: URL;
  body?: unknown;
  signal: AbortSignal;
}

/** LateAnswer is the answer to a WaitingCall. */
export interface LateAnswer {
  status: number;
  body: unknown;
  /** When its last byte arrived, in Unix milliseconds. */
  at: number;
}

/**
 * callUntilEnd makes the call with node:http. With fetch, callers would share connections, and the time that
 * fetch itself takes would be measured too.
 */
export function callUntilEnd({ method, url, body, signal }: WaitingCall): Promise<LateAnswer> {
  const headers = body === undefined ? {} : { 'content-type': 'application/json' };
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, headers, agent: false, signal }, (response) => {
      const pieces: Buffer[] = [];
      response.on('data', (piece: Buffer) => pieces.push(piece));
      response.once('error', reject);
      response.once('end', () => {
        const at = Date.now();
        try {
          const parsed: unknown = JSON.parse(Buffer.concat(pieces).toString());
          resolve({ status: response.statusCode ?? 0, body: parsed, at });
        } catch (error: unknown) {
          reject(error);
        }
      });
    });
    sent.once('error', reject);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
