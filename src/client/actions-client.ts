import type { Action, ActionKind, Selection } from '../job/action.ts';
import { isJsonObject } from '../job/exact-json.ts';
import { CALL_RULES, checkedOptions } from '../job/fields/option-rules.ts';
import type { CallOptions, JobActions, JobFilter } from '../job/job-queue.ts';
import { actionPath } from './address.ts';
import { checkedBody, type Expected, isAction, isSelection } from './answer.ts';
import { argumentRefused, unexpectedResponse } from './client-error.ts';
import type { Transport } from './transport.ts';

const ACTION: Expected<Action> = [isAction, 'an action'];

/**
 * ActionsClient calls the long actions of an instance over HTTP. A start is sent once: after `answer_lost`,
 * look for the action with `list`.
 */
export class ActionsClient implements JobActions {
  readonly #transport: Transport;
  readonly #url: string;
  readonly #patienceMs: number;

  constructor(transport: Transport, url: string, patienceMs: number) {
    this.#transport = transport;
    this.#url = url;
    this.#patienceMs = patienceMs;
  }

  async count(kind: ActionKind, filter: JobFilter, options: CallOptions = {}): Promise<Selection> {
    const answer = await this.#select(kind, { filter, dry_run: true }, options);
    return checkedBody(this.#url, answer, [isSelection, 'a selection']);
  }

  async start(kind: ActionKind, filter: JobFilter, options: CallOptions = {}): Promise<Action> {
    return checkedBody(this.#url, await this.#select(kind, { filter }, options), ACTION);
  }

  async get(id: string, options: CallOptions = {}): Promise<Action> {
    return checkedBody(this.#url, await this.#read(actionPath(id), options), ACTION);
  }

  async list(options: CallOptions = {}): Promise<Action[]> {
    const { body, status } = await this.#read('/actions', options);
    const actions = isJsonObject(body) ? body['actions'] : undefined;
    if (Array.isArray(actions) && actions.every(isAction)) return actions;
    throw unexpectedResponse(this.#url, status, 'something that is not a list of actions');
  }

  async stop(id: string, options: CallOptions = {}): Promise<Action> {
    const { signal } = checkedOptions(options, CALL_RULES, argumentRefused);
    const path = `${actionPath(id)}/stop`;
    return checkedBody(this.#url, await this.#transport.write({ method: 'POST', path, signal }), ACTION);
  }

  #select(kind: ActionKind, body: object, options: CallOptions) {
    const { signal } = checkedOptions(options, CALL_RULES, argumentRefused);
    return this.#transport.write({ method: 'POST', path: `/jobs/${kind}`, body, signal });
  }

  #read(path: string, options: CallOptions) {
    const { signal } = checkedOptions(options, CALL_RULES, argumentRefused);
    return this.#transport.read(path, { signal, patienceMs: this.#patienceMs });
  }
}
