import { STATUS_CODES } from 'node:http';
import { z } from 'zod';
import type { ZodOpenApiContentObject, ZodOpenApiMediaTypeObject } from 'zod-openapi';
import { HTTP_PROBLEMS, HttpProblem, type HttpProblemCode } from '../http/http-problem.ts';
import type { Route } from '../http/route.ts';
import { openAiErrorFrom } from '../v1/openai-error.ts';
import { problemExample } from './examples.ts';
import { BODY_PROBLEMS, problemCodes } from './problem-codes.ts';

const openAiError = z
  .strictObject({
    // An error of the upstream is passed on whole, with its further fields.
    error: z.looseObject({
      message: z.string(),
      type: z.string(),
      param: z.string().nullable(),
      code: z.string().nullable(),
    }),
  })
  .meta({ id: 'OpenAIError', description: 'A refusal in OpenAI’s form.' });

/** RouteRefusal describes every refusal of a route with one status, or with a range of statuses (`4XX`). */
export interface RouteRefusal {
  status: string;
  description: string;
  content: ZodOpenApiContentObject;
}

/** refusalsOf lists what a route may refuse, in the form that its operation names. */
export function refusalsOf(route: Route): RouteRefusal[] {
  const codes = problemCodes(route);
  const { refusals = 'problem', passesRefusalsOn = false } = route.operation;
  switch (refusals) {
    case 'problem':
      return asProblems(codes);
    case 'json-rpc':
      return asProblems(codes.filter((code) => !BODY_PROBLEMS.includes(code)));
    case 'envelope': {
      const asOpenAiError = (code: HttpProblemCode) => openAiErrorFrom(new HttpProblem(code, ''));
      return [
        ...byStatus(codes, (code) => asOpenAiError(code).status).map(([status, these]) => ({
          ...described(
            status,
            these.flatMap((code) => asOpenAiError(code).envelope.code ?? []),
          ),
          content: ENVELOPE,
        })),
        ...(passesRefusalsOn ? [fromUpstream('4XX'), fromUpstream('5XX')] : []),
      ];
    }
    default: {
      const never: never = refusals;
      throw new Error(`unknown form of refusals ${String(never)}`);
    }
  }
}

function asProblems(codes: readonly HttpProblemCode[]): RouteRefusal[] {
  return byStatus(codes, (code) => HTTP_PROBLEMS[code]).map(([status, these]) => ({
    ...described(status, these),
    content: { 'application/problem+json': problemWith(these) },
  }));
}

const ENVELOPE: ZodOpenApiContentObject = { 'application/json': { schema: openAiError } };

function fromUpstream(status: string): RouteRefusal {
  return { status, description: 'A refusal of the upstream, in its own words', content: ENVELOPE };
}

function byStatus(
  codes: readonly HttpProblemCode[],
  statusOf: (code: HttpProblemCode) => number,
): [number, HttpProblemCode[]][] {
  const statuses = new Set(codes.map(statusOf));
  return [...statuses].map((status) => [status, codes.filter((code) => statusOf(code) === status)]);
}

function described(status: number, names: readonly string[]): { status: string; description: string } {
  const list = names.map((name) => `\`${name}\``).join(', ');
  return { status: String(status), description: `${STATUS_CODES[status]}${list === '' ? '' : `: ${list}`}` };
}

function problemWith(codes: readonly HttpProblemCode[]): ZodOpenApiMediaTypeObject {
  return {
    schema: {
      type: 'object',
      allOf: [{ $ref: '#/components/schemas/Problem' }],
      properties: { code: { type: 'string', enum: [...codes] } },
    },
    examples: Object.fromEntries(codes.map((code) => [code, { value: problemExample(code) }])),
  };
}
