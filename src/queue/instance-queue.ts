import { type ActionRunner, createActionRunner } from '../actions/runner.ts';
import { cachedRead } from '../async/cached-read.ts';
import type { Act } from '../audit/audit.ts';
import { defaultModels, type Models } from '../config/file.ts';
import type { Caller } from '../job/tenant.ts';
import type { ModelQueue } from '../model-queue/model-queue.ts';
import { type MemoryUse, readMemory } from '../model-queue/redis-memory.ts';
import { resumeModel } from '../models/resume.ts';
import { type Scaling, scalingFrom } from '../models/scaling.ts';
import { type ModelsSnapshot, modelViewsFrom, readModels, troublesIn } from '../models/status.ts';
import type { ModelView, ResumedModel } from '../models/view.ts';
import type { Ack } from '../redis/ack/level.ts';
import { createWriteProbe, type WriteProbe } from '../redis/write-probe.ts';
import type { DeliveryQueue } from '../webhooks/deliveries.ts';
import { receiveWebhook, type WebhookKeys, webhookKeysOf } from '../webhooks/openai-events.ts';
import { createQueueCore, type QueueCore } from './queue-core.ts';
import { TenantQueue } from './tenant-queue.ts';

export interface O3QueueOptions extends Partial<Models> {
  /** `redis://`, `redis+sentinel://h:p,h:p/NAME` or `redis+cluster://h:p,h:p`; `rediss` for TLS. */
  redisUrl: string;
  /** The workers' `O3Q_PREFIX`. Default `o3q`. */
  prefix?: string;
  /**
   * Whether the workers have `O3Q_SIGNING_SECRET`. Without it no worker delivers webhooks, and a request with
   * a `webhook_url` is refused. Default false.
   */
  webhooksOut?: boolean;
  /**
   * What Redis must have done with a new job before `enqueue` returns: have it in `memory`, on `disk`, or on a
   * `replica`. Default `memory`.
   */
  ack?: Ack;
  /**
   * Called for each job that is less safe than `ack` asks for, with the reason. The job is stored all the
   * same. Default: these are not reported.
   */
  onWeakAck?: (reason: string) => void;
  /**
   * Called for lost connections, at most once a second for each connection. Default: they are not reported.
   */
  onError?: (error: Error) => void;
  /**
   * Called when this queue has ended a job of the model, because it was cancelled and no worker held it. Default:
   * such ends are not counted.
   */
  onCancelled?: (model: string) => void;
}

/** InstanceQueueOptions are the options of a process of ours, whose settings may change. */
export interface InstanceQueueOptions extends O3QueueOptions {
  /** These replace the settings among the other options. Each field is read when it is needed. */
  settings?: Models;
}

const READY_KEY_MS = 1000;
/**
 * How old the list of models that readiness reads may be, in milliseconds. This limits the reads of Redis,
 * because any caller may ask for readiness at any rate.
 */
const FRESH_MS = 1000;

/**
 * InstanceQueue is the queue of a producer: for all models and all callers, with its own connections. Apps
 * use `O3Queue`.
 *
 * @throws {QueueError} from every method, with a code of docs/ERRORS.md.
 */
export class InstanceQueue extends TenantQueue {
  readonly #core: QueueCore;
  readonly #readyKey: string;
  readonly #webhookKeys: WebhookKeys;
  readonly #redisTrouble: WriteProbe;
  readonly #readModels: () => Promise<ModelView[]>;
  #closing: Promise<void> | undefined;
  #runner: ActionRunner | undefined;

  constructor({
    redisUrl,
    prefix = 'o3q',
    webhooksOut = false,
    ack = 'memory',
    onWeakAck = () => {},
    onError = () => {},
    settings,
    onCancelled = () => {},
    ...models
  }: InstanceQueueOptions) {
    const core = createQueueCore({
      redisUrl,
      prefix,
      webhooksOut,
      ack,
      onWeakAck,
      onError,
      onCancelled,
      models: settings ?? { ...defaultModels(), ...models },
    });
    super(core, undefined);
    this.#core = core;
    this.#readyKey = `${prefix}:ready`;
    this.#webhookKeys = webhookKeysOf(prefix);
    this.#redisTrouble = createWriteProbe(core.redis, prefix);
    this.#readModels = cachedRead(() => this.models(), FRESH_MS);
  }

  /** Returns the queue as this caller sees it, on the same connections. */
  as(caller: Caller): TenantQueue {
    return new TenantQueue(this.#core, caller);
  }

  /** The configured models, each with its queue. */
  get queues(): readonly ModelQueue[] {
    return [...this.#core.queues.values()];
  }

  /** The model of a request that names none. */
  get defaultModel(): string {
    return this.#core.models.defaultModel;
  }

  /** How many hours a finished job can be read. */
  get retention(): Models['retention'] {
    return this.#core.models.retention;
  }

  /** The webhooks that still have to be delivered to callers; undefined: none are delivered. */
  get deliveries(): DeliveryQueue | undefined {
    return this.#core.deliveries;
  }

  /** Returns why Redis takes no writes of this process; undefined: it takes them. */
  redisTrouble(): Promise<string | undefined> {
    return this.#redisTrouble();
  }

  /** Resolves when Redis answers. */
  async ping(): Promise<void> {
    await this.#core.guard(() => this.#core.redis.ping());
  }

  /**
   * Resolves when Redis accepts writes. Readiness needs this, because a full Redis and a replica still answer
   * a ping.
   */
  async ready(): Promise<void> {
    await this.#core.guard(() => this.#core.redis.set(this.#readyKey, '', 'PX', READY_KEY_MS));
  }

  /**
   * Lists each configured model with its limits and state. Each is shown as paused while Redis accepts no
   * writes.
   */
  async models(): Promise<ModelView[]> {
    const views = modelViewsFrom(await this.snapshot());
    const trouble = await this.#redisTrouble();
    return trouble === undefined ? views : views.map((view) => pausedBy(view, trouble));
  }

  /** Reads the state of all models and of their quotas. */
  snapshot(): Promise<ModelsSnapshot> {
    const { redis, prefix } = this.#core;
    return this.#core.guard(() => readModels(redis, prefix, this.queues));
  }

  /** Reads how full Redis is. */
  memory(): Promise<MemoryUse> {
    return this.#core.guard(() => readMemory(this.#core.redis));
  }

  /** Reads what an autoscaler needs to choose the number of workers. */
  async scaling(): Promise<Scaling> {
    return scalingFrom(await this.snapshot(), (await this.#redisTrouble()) !== undefined);
  }

  /** Lists the models like `models`, for frequent calls: the list may be up to a second old. */
  async modelsLately(): Promise<ModelView[]> {
    return this.#readModels();
  }

  /**
   * Returns a sentence for each configured model that cannot answer and may need an operator (see
   * `troublesIn`). The sentences may be up to a second old.
   */
  async troubles(): Promise<string[]> {
    return troublesIn(await this.#readModels());
  }

  /**
   * Ends any pause of a model and of its fallbacks, and removes the settings that were made for its queue on
   * Bull Board. Jobs are sent again within a second.
   * @throws {QueueError} `model_not_configured`
   */
  async resume(model: string): Promise<ResumedModel> {
    return this.#core.guard(() => resumeModel(this.#core, model));
  }

  /**
   * Receives a webhook of OpenAI whose signature has been checked, and which says that a response has ended.
   * The worker that follows the response gets a message.
   * @returns false when this webhook was received before.
   */
  async receiveWebhook(webhookId: string, responseId: string): Promise<boolean> {
    return this.#core.guard(() => receiveWebhook(this.#core.redis, this.#webhookKeys, webhookId, responseId));
  }

  /** Writes an act into the audit log that is no act on a job. */
  record(act: Act): void {
    void this.#core.audit.record(act);
  }

  /** Drives the long actions of all processes from this one, until the queue is closed. */
  driveActions(onError: (error: Error) => void): void {
    this.#runner ??= createActionRunner(this.#core, { onError });
    this.#core.actionStarted.call = () => void this.#runner?.look();
    void this.#runner.look();
  }

  /**
   * Ends all waits and closes the connections to Redis. Each wait returns the job in its current state. A
   * second call waits for the first one.
   */
  close(): Promise<void> {
    this.#runner?.stop();
    this.#closing ??= this.#core.close();
    return this.#closing;
  }
}

function pausedBy(view: ModelView, trouble: string): ModelView {
  return { ...view, state: { ...view.state, status: 'paused', until: null, reason: trouble } };
}
