import { booleanField, enumField, integerField, requireKnown } from '../request/fields.ts';

const MONEY = ['in', 'out'] as const;

/** What `PUT /simulator/weather` takes; what is left out stays as it is. */
export type WeatherChange = {
  /** The model for which it changes, by its id. Default: for all of them. */
  readonly model?: string | undefined;
  /** `out`: every create is refused for want of money. */
  readonly money?: (typeof MONEY)[number] | undefined;
  /** Milliseconds from now in which every create is throttled and told to come back after them. 0 ends it. */
  readonly throttle_ms?: number | undefined;
  /** Nothing is there: connections are reset, open ones too. */
  readonly down?: boolean | undefined;
  /** Every create is refused because the servers are overloaded. */
  readonly overloaded?: boolean | undefined;
};

export const WEATHER_NAMES: readonly string[] = [
  'model',
  'money',
  'throttle_ms',
  'down',
  'overloaded',
] satisfies (keyof WeatherChange)[];
const LONGEST_THROTTLE_MS = 86_400_000;

export function readWeatherChange(body: unknown, models: readonly string[]): WeatherChange {
  const change = requireKnown(body, WEATHER_NAMES);
  return {
    model: enumField(change, 'model', 'model', models),
    money: MONEY.find((word) => word === enumField(change, 'money', 'money', MONEY)),
    throttle_ms: integerField(change, 'throttle_ms', 0, LONGEST_THROTTLE_MS),
    down: booleanField(change, 'down'),
    overloaded: booleanField(change, 'overloaded'),
  };
}
