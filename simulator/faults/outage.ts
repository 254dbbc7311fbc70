import type { ApiError } from '../http/errors.ts';
import type { WeatherChange } from './outage-change.ts';
import { refusal } from './refusals.ts';

/** What `GET /simulator/weather` says: for all models, or for one. */
type WeatherReport = {
  readonly money: 'in' | 'out';
  /** Unix milliseconds; null when nothing is throttled. */
  readonly throttled_until: number | null;
  readonly down: boolean;
  readonly overloaded: boolean;
};

/** What an operator or a test does to the whole upstream while it runs, where a fault befalls one create. */
export type Weather = {
  change(change: WeatherChange): void;
  report(): WeatherReport & { readonly models: Readonly<Record<string, WeatherReport>> };
  /** Whether there is nobody at all, or, of a model, nobody to create a response of it. */
  isDown(model?: string): boolean;
  /** Why a create that comes now is refused; undefined in fine weather. */
  refusalOf(model: string): ApiError | undefined;
};

export type WeatherDeps = {
  readonly now: () => number;
  /** All is down that was up. */
  readonly onDown: () => void;
  /** A create came while its model was throttled by the weather, whatever else it is refused for. */
  readonly onThrottled: (atMs: number) => void;
};

type Outage = { money: 'in' | 'out'; throttledUntilMs: number; down: boolean; overloaded: boolean };

export function createWeather({ now, onDown, onThrottled }: WeatherDeps): Weather {
  const everywhere = noOutage();
  const own = new Map<string, Outage>();
  const skiesOver = (model: string): Outage[] => [everywhere, own.get(model) ?? noOutage()];
  const skyOf = (model: string | undefined): Outage => {
    if (model === undefined) return everywhere;
    const sky = own.get(model) ?? noOutage();
    own.set(model, sky);
    return sky;
  };
  return {
    change: ({ model, money, throttle_ms: throttleMs, down, overloaded }) => {
      const wasDown = everywhere.down;
      const sky = skyOf(model);
      sky.money = money ?? sky.money;
      if (throttleMs !== undefined) sky.throttledUntilMs = throttleMs === 0 ? 0 : now() + throttleMs;
      sky.down = down ?? sky.down;
      sky.overloaded = overloaded ?? sky.overloaded;
      if (everywhere.down && !wasDown) onDown();
    },
    report: () => ({
      ...reportOf(everywhere, now()),
      models: Object.fromEntries([...own].map(([model, sky]) => [model, reportOf(sky, now())])),
    }),
    isDown: (model) => everywhere.down || (model !== undefined && own.get(model)?.down === true),
    refusalOf: (model) => {
      const nowMs = now();
      const skies = skiesOver(model);
      const throttledMs = Math.max(...skies.map((sky) => sky.throttledUntilMs)) - nowMs;
      if (throttledMs > 0) onThrottled(nowMs);
      if (skies.some((sky) => sky.overloaded)) return refusal('503', model);
      if (skies.some((sky) => sky.money === 'out')) return refusal('429_quota', model);
      return throttledMs > 0 ? refusal('429', model, Math.ceil(throttledMs)) : undefined;
    },
  };
}

function noOutage(): Outage {
  return { money: 'in', throttledUntilMs: 0, down: false, overloaded: false };
}

function reportOf({ money, throttledUntilMs, down, overloaded }: Outage, nowMs: number): WeatherReport {
  const isThrottled = throttledUntilMs > nowMs;
  return { money, throttled_until: isThrottled ? Math.round(throttledUntilMs) : null, down, overloaded };
}
