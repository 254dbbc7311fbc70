import type { Models } from '../file.ts';
import type { FileSettings, ModelSettings, PriceSettings, TenantSettings } from '../schema.ts';

/**
 * Effect is when a changed setting takes effect in a process that runs.
 *
 * - `live`: at once, for all that begins from then on.
 * - `next attempt`: an attempt that runs keeps the old value until it ends.
 * - `new jobs`: a job keeps what it was enqueued with.
 * - `restart`: the process keeps the old value until it is started again.
 */
export type Effect = 'live' | 'next attempt' | 'new jobs' | 'restart';

type Nested = '$schema' | 'models' | 'tenants' | 'prices' | 'retention' | 'http';

/** SettingPath is the path of a setting in `o3q.config.json`; `*` stands for the name of a model or tenant. */
type SettingPath =
  | Exclude<keyof FileSettings, Nested>
  | 'models.*'
  | `models.*.${keyof ModelSettings}`
  | `tenants.*.${keyof TenantSettings}`
  | `prices.*.${keyof PriceSettings}`
  | `retention.${keyof Models['retention']}`
  | `http.${keyof FileSettings['http']}`;

/** EFFECTS says of every setting of the file when its change takes effect. docs/operating/KEYS.md has the table. */
export const EFFECTS: Readonly<Record<SettingPath, Effect>> = {
  defaultModel: 'live',
  'models.*': 'restart',
  'models.*.upstream': 'next attempt',
  'models.*.fallbacks': 'next attempt',
  'models.*.requestsPerMinute': 'live',
  'models.*.tokensPerMinute': 'live',
  'models.*.maxInFlight': 'live',
  'models.*.maxInFlightWindowed': 'live',
  'models.*.completionWindows': 'next attempt',
  'models.*.maxAttempts': 'new jobs',
  'models.*.timeoutMs': 'next attempt',
  'models.*.stallMs': 'next attempt',
  'models.*.onUncertain': 'next attempt',
  'models.*.uncertainWaitMs': 'next attempt',
  'models.*.background': 'next attempt',
  'models.*.stream': 'next attempt',
  'models.*.backoff': 'next attempt',
  'tenants.*.weight': 'live',
  'tenants.*.maxInFlight': 'live',
  'tenants.*.dailyBudgetUsd': 'live',
  'tenants.*.maxWaiting': 'live',
  'tenants.*.maxStoredMb': 'live',
  'tenants.*.maxStreams': 'live',
  'tenants.*.onBudgetExhausted': 'live',
  'prices.*.input': 'live',
  'prices.*.cachedInput': 'live',
  'prices.*.output': 'live',
  'retention.completedHours': 'live',
  'retention.failedHours': 'live',
  compressAboveKb: 'live',
  'http.requestsPerMinute': 'live',
  'http.maxBodyMb': 'restart',
  'http.basePath': 'restart',
  'http.publicUrl': 'live',
  'http.corsOrigins': 'live',
  'http.trustProxy': 'restart',
  allowPrivateWebhooks: 'live',
};
