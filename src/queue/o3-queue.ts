import { cachedRead } from '../async/cached-read.ts';
import { defaultModels, type Models } from '../config/file.ts';
import type { Caller } from '../job/tenant.ts';
import type { ModelQueue } from '../model-queue/model-queue.ts';
import { resumeModel } from '../models/resume.ts';
import { modelViewsFrom, readModels, troublesIn } from '../models/status.ts';
import type { ModelView, ResumedModel } from '../models/view.ts';
import { type WebhookKeys, webhookKeysOf } from '../redis/keys.ts';
import type { DeliveryQueue } from '../webhooks/deliveries.ts';
import { receiveWebhook } from '../webhooks/openai-events.ts';
import { createQueueCore, type QueueCore } from './queue-core.ts';
import { TenantQueue } from './tenant-queue.ts';

export interface O3QueueOptions extends Partial<Models> {
  /** `redis://`, `rediss://`, `redis+sentinel://h:p,h:p/NAME` or `redis+cluster://h:p,h:p`. */
  redisUrl: string;
  /** The workers' `O3Q_PREFIX`. Default `o3q`. */
  prefix?: string;
  /** Whether the workers have `O3Q_WEBHOOK_SECRET`: without it a request with a `webhook_url` is refused, for nobody would deliver. Default false. */
  webhooksOut?: boolean;
  /** Told about lost connections, at most once a second each. Default: nobody. */
  onError?: (error: Error) => void;
}

const READY_KEY_MS = 1000;
/** Anybody may ask whether a producer is ready, as often as they like. */
const FRESH_MS = 1000;

/**
 * The queue, straight on Redis: for the producer, and for any app that shares the Redis. Every method answers from what
 * Redis holds; while Redis is away every method fails at once with `redis_unavailable`.
 *
 * @throws {QueueError} from every method, with a code of docs/ERRORS.md.
 */
export class O3Queue extends TenantQueue {
  readonly #core: QueueCore;
  readonly #readyKey: string;
  readonly #webhookKeys: WebhookKeys;
  readonly #look: () => Promise<ModelView[]>;
  #closing: Promise<void> | undefined;

  constructor({
    redisUrl,
    prefix = 'o3q',
    webhooksOut = false,
    onError = () => {},
    ...models
  }: O3QueueOptions) {
    const core = createQueueCore({
      redisUrl,
      prefix,
      webhooksOut,
      onError,
      models: { ...defaultModels(), ...models },
    });
    super(core, undefined);
    this.#core = core;
    this.#readyKey = `${prefix}:ready`;
    this.#webhookKeys = webhookKeysOf(prefix);
    this.#look = cachedRead(() => this.models(), FRESH_MS);
  }

  /** The queue as this caller sees it, on the same connections. */
  as(caller: Caller): TenantQueue {
    return new TenantQueue(this.#core, caller);
  }

  /** The models that can be asked for, each with its queue: for Bull Board and the like. */
  get queues(): readonly ModelQueue[] {
    return [...this.#core.queues.values()];
  }

  /** The webhooks on their way to callers, for Bull Board and the like; undefined: none are delivered. */
  get deliveries(): DeliveryQueue | undefined {
    return this.#core.deliveries;
  }

  /** Resolves when Redis answers. */
  async ping(): Promise<void> {
    await this.#core.guard(() => this.#core.redis.ping());
  }

  /** Resolves when Redis takes writes: for readiness. One that is full, or a replica, answers a ping all the same. */
  async ready(): Promise<void> {
    await this.#core.guard(() => this.#core.redis.set(this.#readyKey, '', 'PX', READY_KEY_MS));
  }

  /** Each configured model: what it is sold as, its limits, and how it stands. */
  async models(): Promise<ModelView[]> {
    const { redis, prefix } = this.#core;
    return this.#core.guard(async () => modelViewsFrom(await readModels(redis, prefix, this.queues)));
  }

  /** The same, up to a second old: for who asks all the time. */
  async modelsLately(): Promise<ModelView[]> {
    return this.#look();
  }

  /** Why configured models are not answered right now, a sentence each; up to a second old. */
  async troubles(): Promise<string[]> {
    return troublesIn(await this.#look());
  }

  /**
   * Ends the pause of a model whose upstream account had no money left, and that of its fallbacks: its jobs are sent again at once.
   * @throws {QueueError} `model_not_configured`
   */
  async resume(model: string): Promise<ResumedModel> {
    return this.#core.guard(() => resumeModel(this.#core, model));
  }

  /**
   * Takes what a webhook of OpenAI says, once its signature has been checked: this response has ended. The worker that
   * follows it, whichever it is, hears of it. @returns false: this webhook had been received before.
   */
  async receiveWebhook(webhookId: string, responseId: string): Promise<boolean> {
    return this.#core.guard(() => receiveWebhook(this.#core.redis, this.#webhookKeys, webhookId, responseId));
  }

  /** Ends waits with how things stand, and lets go of Redis. Calling it again waits for the same end. */
  close(): Promise<void> {
    this.#closing ??= this.#core.close();
    return this.#closing;
  }
}
