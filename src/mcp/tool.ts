import type { z } from 'zod';
import { checkedInput } from '../errors/input.ts';
import type { TraceContext } from '../job/fields/trace-context.ts';
import type { JobQueue } from '../job/job-queue.ts';
import type { JobView } from '../job/view.ts';

/** McpCall is what a tool may use while it answers one call of a client. */
export interface McpCall {
  queue: JobQueue;
  /** The name of the client, such as `claude-code`. */
  agent: string;
  /** The client's span; undefined: the call is part of no trace. */
  trace: TraceContext | undefined;
  /**
   * Aborts when the client has gone, when this process is about to stop, and after every answer. A job must
   * not be cancelled because of it.
   */
  signal: AbortSignal;
  /** Whether this process is about to stop. */
  isStopping(): boolean;
  /** The time of the server that keeps the jobs, in Unix milliseconds. */
  now(): number;
  /**
   * Gives the memory of the call's body back. A tool calls it before it waits, and keeps no part of a large
   * argument.
   */
  dropBody(): void;
  /** Makes a task of a job that has not ended; absent when the client did not declare tasks in this call. */
  asTask?: (job: JobView) => ToolResult;
  /** Tells the client how far a wait is. It does nothing when the client has not asked to be told. */
  progress(message: string): Promise<void>;
}

/**
 * ToolResult is what a tool answers: a text for the model, and the same facts for programs in `_meta`. There
 * is no `structuredContent`, because several clients show a model only that when it is there, and drop the
 * text (Claude Code 2.1.280: anthropics/claude-code#79944; VS Code: microsoft/vscode#290063).
 */
export interface ToolResult {
  [key: string]: unknown;
  content: { type: 'text'; text: string }[];
  /** Whether the text says why there is no answer. The model reads it and can mend its call. */
  isError?: true;
  _meta?: { 'org.o3-queue/job': JobFacts };
}

/** JobFacts are the facts about a job in the `_meta` of a result, which no model sees. */
export interface JobFacts {
  id: string;
  status: JobView['status'];
  cost_usd: number | null;
  position?: number | null;
  eta_ms?: number | null;
  /** The length of the whole answer, in UTF-16 code units. */
  length?: number;
  /** The `offset` of the next part of the answer; absent after the last part. */
  next_offset?: number;
}

/** Tool is one tool: how it is described to a model, and what it does. */
export interface Tool {
  name: string;
  title: string;
  /** At most 440 characters: a model reads all descriptions before each of its answers. */
  description: string;
  schema: z.ZodType;
  annotations: {
    readOnlyHint: boolean;
    destructiveHint: boolean;
    idempotentHint: boolean;
    openWorldHint: boolean;
  };
  /** The `_meta` of the tool in the list of tools. */
  meta?: Record<string, unknown>;
  /** @throws {JobQueueError} which the model is told. */
  run(input: unknown, call: McpCall): Promise<ToolResult>;
}

/** defineTool makes a tool that checks its arguments with its schema before it answers. */
export function defineTool<Input>({
  answer,
  schema,
  ...tool
}: Omit<Tool, 'schema' | 'run'> & {
  schema: z.ZodType<Input> & { shape: object };
  answer: (input: Input, call: McpCall) => Promise<ToolResult>;
}): Tool {
  return {
    ...tool,
    schema,
    run: async (input, call) => answer(checkedInput<Input>('arguments', input, schema), call),
  };
}

/** textResult makes a result of a text, and of facts about the job that the text is about. */
export function textResult(text: string, facts?: JobFacts): ToolResult {
  return {
    content: [{ type: 'text', text }],
    ...(facts !== undefined && { _meta: { 'org.o3-queue/job': facts } }),
  };
}

/** errorResult makes a result that says why there is no answer. */
export function errorResult(text: string, facts?: JobFacts): ToolResult {
  return { ...textResult(text, facts), isError: true };
}
