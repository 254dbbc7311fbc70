import { readFileSync } from 'node:fs';
import { openApiDocument } from '../../../producer/openapi/document.ts';
import { everyRoute } from '../../support/hostile/every-route.ts';

/** What an app passes to O3Client, and the file of `dist/src` that declares each type to editors. */
const PASSED: Record<string, readonly string[]> = {
  'job/job-request': [
    'RequestOptions',
    'QuestionRequest',
    'ResponsesRequest',
    'ResponsesBody',
    'BulkRequest',
  ],
  'job/fields/times': ['TimeOptions'],
  'job/fields/upstream-headers': ['UpstreamHeaders'],
  'job/job-queue': [
    'BulkOptions',
    'CallOptions',
    'EnqueueOptions',
    'WaitOptions',
    'EventOptions',
    'JobFilter',
    'JobQuery',
  ],
  'client/address': ['O3ClientOptions'],
  'usage/report': ['UsageQuery'],
  'audit/audit': ['AuditQuery'],
};

/** What an app gets back, in the same form. */
const RETURNED: Record<string, readonly string[]> = {
  'job/view': [
    ...['WaitingJob', 'DelayedJob', 'ActiveJob', 'CompletedJob', 'FailedJob', 'CancelledJob'],
    ...['JobResult', 'ResultSummary', 'JobError', 'Usage', 'JobPage'],
  ],
  'job/event': ['EventsToken'],
  'job/action': ['Selection', 'Action'],
  'audit/audit': ['AuditEntry', 'AuditPage'],
  'usage/report': ['UsageSums', 'UsageRow', 'UsageReport'],
};
const DECLARED = [...Object.entries(PASSED), ...Object.entries(RETURNED)];

interface Schema {
  description?: string;
  properties?: Record<string, Schema>;
  items?: Schema;
  anyOf?: Schema[];
}

const { components }: { components?: { schemas?: Record<string, Schema> } } = JSON.parse(
  JSON.stringify(openApiDocument(everyRoute(), '1.2.3')),
);

function declarations(file: string): string {
  return readFileSync(`dist/src/${file}.d.ts`, 'utf8');
}

/** commentsOf returns the comment of each field of a declared type, in one line; an empty one for none. */
function commentsOf(type: string): Record<string, string> {
  const [file = ''] = DECLARED.find(([, types]) => types.includes(type)) ?? [];
  const text = declarations(file);
  const start = text.search(new RegExp(`^export (interface ${type}\\b|type ${type} = )`, 'm'));
  if (start === -1) throw new Error(`expected ${file} to declare ${type}`);
  const body = text.slice(text.indexOf('{\n', start) + 2, text.indexOf('\n}', start));
  const fields = body.matchAll(
    /(?:\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\n)?^ {4}(?:readonly )?'?([\w-]+)'?\??: /gm,
  );
  return Object.fromEntries(
    [...fields].map(([, comment = '', name]) => [
      name,
      comment
        .replaceAll(/^\s*\*/gm, '')
        .replaceAll(/\s+/g, ' ')
        .trim(),
    ]),
  );
}

/** descriptionsOf returns the description of each field of a schema; an empty one for none. */
function descriptionsOf(schema: Schema | undefined): Record<string, string> {
  return Object.fromEntries(
    Object.entries(schema?.properties ?? {}).map(([name, { description = '' }]) => [name, description]),
  );
}

it.each(DECLARED.flatMap(([, types]) => types))('an editor shows a comment for every field of %s', (type) => {
  const comments = Object.entries(commentsOf(type));
  expect(comments.length).toBeGreaterThan(0);
  expect(comments.filter(([, comment]) => comment === '')).toEqual([]);
});

it('these are all types of objects that a method of O3Client takes', () => {
  const taken = declarations('client/o3-client').matchAll(
    /\b(?:options|query|requests?)\??: (?:readonly )?(\w+)/g,
  );
  const types = new Set([...taken].map((match) => match[1]));
  expect(types).toContain('JobRequest');
  // JobRequest is a union of two of them.
  types.delete('JobRequest');
  expect(Object.values(PASSED).flat()).toEqual(expect.arrayContaining([...types]));
});

it('the comments of a request are the descriptions of its fields in the OpenAPI document', () => {
  const { QuestionRequest: question, ResponsesRequest: responses, Bulk: bulk } = components?.schemas ?? {};
  const both = { ...commentsOf('RequestOptions'), ...commentsOf('TimeOptions') };
  expect({ ...both, ...commentsOf('QuestionRequest') }).toEqual(descriptionsOf(question));
  expect({ ...both, ...commentsOf('ResponsesRequest') }).toEqual(descriptionsOf(responses));
  expect(commentsOf('ResponsesBody')).toEqual(descriptionsOf(responses?.properties?.['request']));
  expect(commentsOf('UpstreamHeaders')).toEqual(descriptionsOf(responses?.properties?.['upstream_headers']));
  const forms = bulk?.properties?.['jobs']?.items?.anyOf ?? [];
  expect(forms.map(descriptionsOf)).toContainEqual(expect.objectContaining(commentsOf('BulkRequest')));
});

it.each([
  ['JobEvent', 'job/event', ['type', 'number', 'data', 'text', 'attempt', 'reason']],
  ['ResultOutcome', 'job/view', ['status', 'result', 'job']],
])('an editor shows a comment for every field of each form of %s', (type, file, expected) => {
  const text = declarations(file);
  const start = text.indexOf(`export type ${type} =`);
  const forms = text.slice(start, text.indexOf('\n};\n', start));
  const fields = [...forms.matchAll(/(\*\/)?\n +(\w+): /g)];
  expect(fields.map(([, , name]) => name)).toEqual(expect.arrayContaining(expected));
  expect(fields.filter(([, comment]) => comment === undefined)).toEqual([]);
});

it('the comments of a job, its result, an action and the audit log are the descriptions of their fields in the OpenAPI document', () => {
  for (const type of ['job/view', 'job/action', 'audit/audit'].flatMap((file) => RETURNED[file] ?? [])) {
    const schema = components?.schemas?.[type];
    if (schema !== undefined) expect(commentsOf(type)).toEqual(descriptionsOf(schema));
  }
  expect(components?.schemas).toHaveProperty('CompletedJob.properties.result');
});
