import { completedJobExample, waitingJobExample } from '../../../producer/openapi/examples.ts';
import { type Exchange, expectAsDocumented } from '../../support/http/openapi-check.ts';

const enqueued: Exchange = {
  method: 'POST',
  path: '/jobs?wait=1',
  requestBody: { question: 'Why is the sky blue?' },
  status: 202,
  headers: {
    'content-type': 'application/json; charset=utf-8',
    location: '/jobs/x',
    'o3q-ack': 'memory',
  },
  body: waitingJobExample,
};
const refused: Exchange = {
  method: 'GET',
  path: '/jobs/x',
  requestBody: undefined,
  status: 404,
  headers: { 'content-type': 'application/problem+json; charset=utf-8' },
  body: {
    type: 'about:blank',
    title: 'Not Found',
    status: 404,
    code: 'job_not_found',
    detail: 'There is none',
  },
};

test.each<[string, Exchange]>([
  ['an answer', enqueued],
  ['a refusal', refused],
  ['an answer without a body', { ...refused, method: 'DELETE', status: 204, headers: {}, body: '' }],
  ['a route that is not documented', { ...refused, path: '/board/api/queues', status: 418 }],
])('the check accepts %s as documented', (_name, exchange) => {
  expect(() => expectAsDocumented(exchange)).not.toThrow();
});

test.each<[string, Exchange, RegExp]>([
  [
    'an undocumented field',
    { ...enqueued, body: { ...waitingJobExample, mood: 'blue' } },
    /additional.*"mood"/,
  ],
  ['a field that is missing', { ...enqueued, body: { ...waitingJobExample, tenant: undefined } }, /'tenant'/],
  [
    'a field of another status',
    { ...enqueued, body: { ...completedJobExample, due_at: completedJobExample.created_at } },
    /additional.*"due_at"/,
  ],
  [
    'an invalid time',
    { ...enqueued, body: { ...waitingJobExample, created_at: 'yesterday' } },
    /\/created_at .*date-time/,
  ],
  [
    'an undocumented status',
    { ...enqueued, status: 201 },
    /expected one of the statuses 200, 202, .*, got 201/,
  ],
  [
    'another media type',
    { ...enqueued, headers: { ...enqueued.headers, 'content-type': 'text/html' } },
    /got one of text\/html/,
  ],
  [
    'a promised header that is missing',
    { ...enqueued, headers: { 'content-type': 'application/json' } },
    /header location/,
  ],
  [
    'a refusal that is not of this route',
    { ...refused, body: { ...(refused.body as object), code: 'unknown_model' } },
    /\/code /,
  ],
  ['a body where there is to be none', { ...refused, method: 'DELETE', status: 204 }, /expected no body/],
  [
    'an answer to a request that is forbidden',
    { ...enqueued, requestBody: { question: 'x', colour: 'blue' } },
    /a request of.*"colour"/,
  ],
])('the check finds %s', (_name, exchange, complaint) => {
  // As JSON says it, where undefined is not there.
  const sent = JSON.parse(JSON.stringify(exchange)) as Exchange;
  expect(() => expectAsDocumented(sent)).toThrow(complaint);
});
