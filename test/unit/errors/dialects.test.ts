import { concernOf, failureFromRefusal } from '../../../src/errors/failure.ts';
import { refusalBodyFrom } from '../../../src/errors/refusal-body.ts';
import { DIALECTS } from '../../support/openai/dialects.ts';

/** Judges a refusal as it comes from the wire. */
const judge = (status: number, body: object | string, upstreamModel = 'o3') => {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const type = text.startsWith('<')
    ? 'text/html'
    : typeof body === 'string'
      ? 'text/plain'
      : 'application/json';
  return failureFromRefusal({
    ...{ status, ...refusalBodyFrom(text, type) },
    ...{ retryAfterMs: undefined, upstreamModel },
  });
};
describe('whom a refusal concerns', () => {
  it.each(DIALECTS)('%s: %d %j concerns %s', (_who, status, body, concern) => {
    expect(concernOf(judge(status, body))).toBe(concern);
  });
});
