import type { RedisClient } from '../../src/redis/connection.ts';
import type { Fleet } from '../fleet/fleet.ts';

/** SOURCES are the places where an operator or a caller reads why jobs stand still. */
export const SOURCES = ['waiting_for', '/readyz', 'GET /models', 'metric', 'log'] as const;
export type Source = (typeof SOURCES)[number];

/** Weather is one problem that all jobs have, and how each source names it. */
export interface Weather {
  readonly name: string;
  /**
   * @param forMs how long the weather lasts, in milliseconds, for an upstream that tells callers the time in
   * advance.
   */
  begin(sky: Sky, forMs: number): Promise<void>;
  end(sky: Sky): Promise<void>;
  /**
   * What each source says while the weather lasts; undefined: the source does not name the weather, by
   * design.
   */
  readonly names: Readonly<Record<Source, RegExp | undefined>>;
}

/** Sky is where weather comes from: the simulator, and Redis. */
export interface Sky {
  /** Changes the simulator's outages, as in docs/SIMULATOR.md. */
  upstream(change: object): Promise<void>;
  /** Removes a model from the simulator, or brings it back. */
  model(id: string, change: object): Promise<void>;
  readonly redis: RedisClient;
}

/** skyOver gives the sky over a fleet. @param redis must not go through a proxy. */
export function skyOver({ upstreamUrl }: Pick<Fleet, 'upstreamUrl'>, redis: RedisClient): Sky {
  return {
    redis,
    upstream: (change) => put(new URL('/simulator/weather', upstreamUrl), change),
    model: (id, change) => put(new URL(`/simulator/models/${id}`, upstreamUrl), change),
  };
}

async function put(url: URL, change: object): Promise<void> {
  const answer = await fetch(url, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(change),
  });
  if (!answer.ok) throw new Error(`the simulator refused ${JSON.stringify(change)}: ${await answer.text()}`);
}

/** The model of all jobs. It has no fallback. */
export const MODEL = 'o3';

/** FORECAST lists the weathers in their order. */
export const FORECAST: readonly Weather[] = [
  {
    name: 'throttling: 429 with Retry-After',
    begin: ({ upstream }, forMs) => upstream({ throttle_ms: forMs }),
    end: ({ upstream }) => upstream({ throttle_ms: 0 }),
    names: {
      waiting_for: /^rate limit until .*/m,
      // An operator need not do anything: the upstream has named the end of this pause.
      '/readyz': undefined,
      'GET /models': /^rate_limited: rate limited; the upstream accepts no request for o3 until /,
      metric: stopped('rate_limited'),
      log: /"throttled: all workers pause"/,
    },
  },
  {
    name: '402: no credits left',
    ...refusing('402'),
    names: {
      waiting_for: /^quota exhausted: .*Insufficient credits/,
      '/readyz': degraded('quota exhausted .*Insufficient credits'),
      'GET /models': /^paused: quota exhausted .*Insufficient credits/,
      metric: stopped('quota_exhausted'),
      log: /"paused: the upstream account has no money left; one job at a time probes the upstream"/,
    },
  },
  {
    name: '401: the key is refused',
    ...refusing('401'),
    names: {
      waiting_for: /^credentials refused: .*Incorrect API key/,
      '/readyz': degraded('credentials refused .*Incorrect API key'),
      'GET /models': /^paused: credentials refused .*Incorrect API key/,
      metric: stopped('credentials_refused'),
      log: /"paused: the upstream refuses the credentials; one job at a time probes the upstream"/,
    },
  },
  {
    name: "403: a proxy's HTML page",
    ...refusing('403_html'),
    names: {
      waiting_for: /^the right address: what answers for o3 is not the API/,
      '/readyz': degraded('wrong address '),
      'GET /models': /^paused: wrong address /,
      metric: stopped('wrong_address'),
      log: /"paused: what answers at the upstream address is not the API; one job at a time probes the upstream"/,
    },
  },
  {
    name: '503: overloaded',
    begin: ({ upstream }) => upstream({ overloaded: true }),
    end: ({ upstream }) => upstream({ overloaded: false }),
    names: {
      waiting_for: /^the upstream is unreachable or overloaded; /,
      '/readyz': degraded('the upstream of o3 is unreachable or overloaded'),
      'GET /models': /^down: the upstream of o3 is unreachable or overloaded/,
      metric: stopped('upstream_down'),
      log: /"the upstream is unreachable or overloaded; one job at a time probes it"/,
    },
  },
  {
    name: 'the model is gone, without a fallback',
    begin: ({ model }) => model(MODEL, { gone: true }),
    end: ({ model }) => model(MODEL, { gone: false }),
    names: {
      waiting_for: /^o3 does not exist at the upstream, .*models\.o3\.fallbacks/,
      '/readyz': degraded('o3 does not exist at the upstream, .*models\\.o3\\.fallbacks'),
      'GET /models': /^gone: o3 does not exist at the upstream, .*models\.o3\.fallbacks/,
      metric: stopped('gone'),
      log: /"the upstream has no such model; its fallbacks take over, if there are any"/,
    },
  },
  {
    name: 'Redis is full (maxmemory)',
    begin: async ({ redis }) => void (await redis.config('SET', 'maxmemory', '1')),
    end: async ({ redis }) => void (await redis.config('SET', 'maxmemory', '0')),
    names: redisRefuses('OOM'),
  },
  {
    name: 'Redis is read-only (a replica)',
    begin: async ({ redis }) => void (await redis.call('REPLICAOF', '127.0.0.1', '1')),
    end: async ({ redis }) => void (await redis.call('REPLICAOF', 'NO', 'ONE')),
    names: redisRefuses('READONLY'),
  },
];

function refusing(fault: string): Pick<Weather, 'begin' | 'end'> {
  return {
    begin: ({ upstream }) => upstream({ refuse: fault }),
    end: ({ upstream }) => upstream({ refuse: 'none' }),
  };
}

function degraded(reason: string): RegExp {
  return new RegExp(`^200 \\{"status":"degraded","reasons":\\["o3: ${reason}`);
}

function stopped(reason: string): RegExp {
  return new RegExp(`^o3q_quota_stopped\\{upstream_model="o3",reason="${reason}"\\} 1$`, 'm');
}

function redisRefuses(code: string): Weather['names'] {
  return {
    waiting_for: new RegExp(`^Redis takes no writes: ${code} .*`),
    '/readyz': new RegExp(`^503 .*${code}`),
    'GET /models': new RegExp(`^paused: Redis takes no writes: ${code}`),
    metric: /^o3q_redis_ready 0$/m,
    log: new RegExp(`Redis refuses commands, which wait until it takes them: ${code}.*"queue error"`),
  };
}
