import type { ApiError } from '../api/errors.ts';
import { booleanField, enumField, integerField, requireKnown } from '../api/fields.ts';
import { isObject } from '../api/json.ts';
import {
  type GivenReply,
  ODD_REPLIES,
  ODD_REPLY_NAMES,
  type OddReply,
  type OddReplyName,
  readReply,
} from './odd-replies.ts';
import { refusal } from './refusals.ts';

const MONEY = ['in', 'out'] as const;
type Money = (typeof MONEY)[number];

/** OutageChange is what `PUT /simulator/weather` takes. An omitted field stays as it is. */
export type OutageChange = {
  /** The id of the model that is affected. Default: all models. */
  readonly model?: string | undefined;
  /** `out`: every create is refused, because the account has no money. */
  readonly money?: Money | undefined;
  /** For how many milliseconds from now every create gets 429 with Retry-After. 0 ends the throttle. */
  readonly throttle_ms?: number | undefined;
  /** The server is down: it resets new and open connections. */
  readonly down?: boolean | undefined;
  /** Every create is refused, because the servers are overloaded. */
  readonly overloaded?: boolean | undefined;
  /** The create fault, or the reply, that answers every create; `none` ends it. */
  readonly refuse?: OddReplyName | 'none' | GivenReply | undefined;
};

export const OUTAGE_FIELDS: readonly string[] = [
  'model',
  'money',
  'throttle_ms',
  'down',
  'overloaded',
  'refuse',
] satisfies (keyof OutageChange)[];

/** OutageReport is the outage of all models, or of one, as `GET /simulator/weather` shows it. */
type OutageReport = {
  readonly money: Money;
  /** When the throttle ends, in Unix milliseconds; null when nothing is throttled. */
  readonly throttled_until: number | null;
  readonly down: boolean;
  readonly overloaded: boolean;
  readonly refuse: OddReplyName | 'none' | OddReply;
};

/**
 * Outages are problems that an operator or a test switches on while the simulator runs, for all models or for
 * one. A fault, in contrast, affects one create.
 */
export type Outages = {
  change(change: OutageChange): void;
  report(): OutageReport & { readonly models: Readonly<Record<string, OutageReport>> };
  /**
   * Without a model: whether the whole server is down. With a model: whether creates of this model are reset.
   */
  isDown(model?: string): boolean;
  /** Returns why a create is refused now; undefined: no outage refuses it. */
  refusalOf(model: string): ApiError | undefined;
  /** Returns the odd reply that a create gets now; undefined: no outage sends one. */
  oddReplyOf(model: string): OddReply | undefined;
};

export type OutagesDeps = {
  readonly now: () => number;
  /** Called when the whole server goes down. */
  readonly onDown: () => void;
  /**
   * Called for a create that comes while an outage throttles its model, even if it is refused for another
   * reason.
   */
  readonly onThrottled: (atMs: number) => void;
};

const REFUSALS = ['none', ...ODD_REPLY_NAMES] as const;
const LONGEST_THROTTLE_MS = 86_400_000;

type Outage = {
  money: Money;
  throttledUntilMs: number;
  down: boolean;
  overloaded: boolean;
  refuse: OddReplyName | 'none' | OddReply;
};

export function createOutages({ now, onDown, onThrottled }: OutagesDeps): Outages {
  const ofAll = noOutage();
  const byModel = new Map<string, Outage>();
  const outageOf = (model: string | undefined): Outage => {
    if (model === undefined) return ofAll;
    const outage = byModel.get(model) ?? noOutage();
    byModel.set(model, outage);
    return outage;
  };
  return {
    change: ({ model, money, throttle_ms: throttleMs, down, overloaded, refuse }) => {
      const wasDown = ofAll.down;
      const outage = outageOf(model);
      outage.money = money ?? outage.money;
      if (throttleMs !== undefined) outage.throttledUntilMs = throttleMs === 0 ? 0 : now() + throttleMs;
      outage.down = down ?? outage.down;
      outage.overloaded = overloaded ?? outage.overloaded;
      outage.refuse = typeof refuse === 'object' ? readReply(refuse) : (refuse ?? outage.refuse);
      if (ofAll.down && !wasDown) onDown();
    },
    report: () => ({
      ...reportOf(ofAll, now()),
      models: Object.fromEntries([...byModel].map(([model, outage]) => [model, reportOf(outage, now())])),
    }),
    isDown: (model) => ofAll.down || (model !== undefined && byModel.get(model)?.down === true),
    oddReplyOf: (model) => {
      const { refuse } = byModel.get(model) ?? noOutage();
      const reply = refuse === 'none' ? ofAll.refuse : refuse;
      if (reply === 'none') return undefined;
      return typeof reply === 'string' ? ODD_REPLIES[reply] : reply;
    },
    refusalOf: (model) => {
      const nowMs = now();
      const outages = [ofAll, byModel.get(model) ?? noOutage()];
      const throttledMs = Math.max(...outages.map((outage) => outage.throttledUntilMs)) - nowMs;
      if (throttledMs > 0) onThrottled(nowMs);
      if (outages.some((outage) => outage.overloaded)) return refusal('503', model);
      if (outages.some((outage) => outage.money === 'out')) return refusal('429_quota', model);
      return throttledMs > 0 ? refusal('429', model, Math.ceil(throttledMs)) : undefined;
    },
  };
}

export function readOutageChange(body: unknown, models: readonly string[]): OutageChange {
  const change = requireKnown(body, OUTAGE_FIELDS);
  return {
    model: enumField(change, 'model', 'model', models),
    money: MONEY.find((word) => word === enumField(change, 'money', 'money', MONEY)),
    throttle_ms: integerField(change, 'throttle_ms', 0, LONGEST_THROTTLE_MS),
    down: booleanField(change, 'down'),
    overloaded: booleanField(change, 'overloaded'),
    refuse: isObject(change['refuse'])
      ? (change['refuse'] as GivenReply)
      : REFUSALS.find((name) => name === enumField(change, 'refuse', 'refuse', REFUSALS)),
  };
}

function noOutage(): Outage {
  return { money: 'in', throttledUntilMs: 0, down: false, overloaded: false, refuse: 'none' };
}

function reportOf({ throttledUntilMs, ...outage }: Outage, nowMs: number): OutageReport {
  const isThrottled = throttledUntilMs > nowMs;
  return { ...outage, throttled_until: isThrottled ? Math.round(throttledUntilMs) : null };
}
