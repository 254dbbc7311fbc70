import type { OpenAI } from 'openai';
import { eventually } from '../../support/eventually.ts';
import { openSdk } from '../../support/openai/sdk.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

let instance: Instance;
let client: OpenAI;
beforeAll(async () => {
  instance = await startInstance();
  ({ client } = openSdk(instance.url, { organization: 'org-north', project: 'proj_red' }));
});
afterAll(() => instance.stop());

const entriesOf = (question: string) =>
  instance.simulator.ledger.entries().filter((entry) => entry.question === question);

it.each([
  ['in the foreground', {}],
  ['in the background', { background: true }],
])('the organization and the project of a caller reach the upstream %s', async (how, flags) => {
  await client.responses.create({ model: 'o3', input: `Where, ${how}?`, ...flags }, { maxRetries: 0 });
  const { data } = await client.responses
    .create({ model: 'o3', input: `Where, ${how}?` })
    .then(({ id }) => client.responses.inputItems.list(id));
  expect(data).toMatchObject([{ role: 'user' }]);
  const here = { organization: 'org-north', project: 'proj_red' };
  await eventually(() => expect(entriesOf(`Where, ${how}?`)).toMatchObject([here, here]));
});

it('a header without a value is not sent to the upstream', async () => {
  await client.responses.create(
    { model: 'o3', input: 'Nowhere?' },
    { headers: { 'OpenAI-Organization': '', 'OpenAI-Project': '' } },
  );
  expect(entriesOf('Nowhere?')).toMatchObject([{ organization: null, project: null }]);
});

it.each([
  ['with 257 characters', 'p'.repeat(257)],
  ['with a character that is not ASCII', 'projé'],
  ['with a tab', 'a\tb'],
])('a header %s is refused, and its field is named', async (_what, value) => {
  await expect(
    client.responses.create({ model: 'o3', input: 'Refused?' }, { headers: { 'OpenAI-Project': value } }),
  ).rejects.toMatchObject({ status: 400, message: expect.stringContaining('openai-project') });
  expect(entriesOf('Refused?')).toEqual([]);
});

it('the same idempotency key with another project is refused', async () => {
  const create = (project: string) =>
    client.responses.create(
      { model: 'o3', input: 'Once?', background: true },
      { headers: { 'Idempotency-Key': 'one key', 'OpenAI-Project': project } },
    );
  const first = await create('proj_red');
  expect(await create('proj_red')).toMatchObject({ id: first.id });
  await expect(create('proj_blue')).rejects.toMatchObject({ status: 409 });
});

it('POST /jobs takes the headers as a field, and refuses any other header', async () => {
  const post = (upstream_headers: object) =>
    fetch(`${instance.url}/jobs?wait=10`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ question: 'A field?', upstream_headers }),
    });
  expect((await post({ 'openai-project': 'proj_green' })).status).toBe(200);
  expect(entriesOf('A field?')).toMatchObject([{ project: 'proj_green' }]);
  const refused = await post({ authorization: 'Bearer mine' });
  expect([refused.status, await refused.text()]).toEqual([400, expect.stringContaining('authorization')]);
});
