import { z } from 'zod';
import type { Answer, Operation } from '../operation.ts';

const id = z.union([z.string(), z.number(), z.null()]);
const request = z.looseObject({
  jsonrpc: z.literal('2.0'),
  id: id.optional(),
  method: z.string(),
  params: z.looseObject({}).optional(),
});
const rpcError = z
  .strictObject({
    jsonrpc: z.literal('2.0'),
    id: id.optional(),
    error: z.strictObject({ code: z.int(), message: z.string(), data: z.unknown().optional() }),
  })
  .meta({ id: 'JsonRpcError', description: 'A refusal in the form of JSON-RPC 2.0.' });
const reply = z.union([
  rpcError,
  z.looseObject({ jsonrpc: z.literal('2.0'), id, result: z.looseObject({}) }),
  z.array(z.looseObject({ jsonrpc: z.literal('2.0') })),
]);

const refused = (description: string): Answer => ({ description, content: { schema: rpcError } });

export const callMcp: Operation = {
  id: 'callMcp',
  tag: 'agents',
  summary: 'Call a tool, as an agent does',
  description:
    'The Model Context Protocol over streamable HTTP, without sessions: revision 2026-07-28, and the earlier ones ' +
    'from 2024-10-07 on. The tools are `ask_o3`, `check_o3_status`, `get_o3_result`, `list_o3_tasks` and ' +
    '`cancel_o3`. What a model can mend (bad arguments, an unknown job, a used up budget) is a result with ' +
    '`isError`. A call that ends or breaks never cancels a job. A client that declares the extension ' +
    '`io.modelcontextprotocol/tasks` gets tasks.',
  body: {
    schema: z.union([request, z.array(z.looseObject({ jsonrpc: z.literal('2.0') }))]),
    examples: {
      ask: {
        jsonrpc: '2.0',
        id: 1,
        method: 'tools/call',
        params: {
          name: 'ask_o3',
          arguments: { question: 'Why does the lease expire twice?', wait_s: 30 },
          _meta: {
            'io.modelcontextprotocol/protocolVersion': '2026-07-28',
            'io.modelcontextprotocol/clientCapabilities': {},
          },
        },
      },
    },
  },
  answers: {
    200: {
      description: 'The reply, or an error about an unknown tool',
      content: { schema: reply, streamed: 'text/event-stream' },
    },
    202: { description: 'A notification was taken' },
    400: refused('A request against the protocol, such as headers that differ from the body'),
    404: refused('An unknown method'),
    406: refused('`Accept` does not name both media types of replies'),
    413: refused('The body is too large'),
    415: refused('The body is not JSON in UTF-8'),
  },
  refusals: 'json-rpc',
  problems: ['redis_unavailable'],
};
