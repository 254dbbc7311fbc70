/** ReceiverLimits bound what one worker sends at the same time, and say when a circuit breaker opens. */
export interface ReceiverLimits {
  /** The most deliveries to one receiver at the same time. */
  perReceiver: number;
  /** The most deliveries of one tenant at the same time. */
  perTenant: number;
  /** How many webhooks in a row have to fail before the circuit breaker opens. */
  failures: number;
  /** The time until the first probe, in milliseconds. It doubles after each failed probe. */
  firstProbeMs: number;
  lastProbeMs: number;
}

export const RECEIVER_LIMITS: ReceiverLimits = {
  perReceiver: 10,
  perTenant: 20,
  failures: 5,
  firstProbeMs: 5000,
  lastProbeMs: 60_000,
};

/** Try is a webhook that is due. */
export interface Try {
  /** The webhook's id. */
  id: string;
  url: string;
  /** '' for none. */
  tenant: string;
  /** Whether the webhook is given up if this try fails. An open circuit breaker lets such a try pass. */
  isLast: boolean;
}

/** TryEnd is how a try has ended; undefined: the end says nothing about the receiver. */
export type TryEnd = 'delivered' | 'failed' | undefined;

/**
 * Turn is what may be done with a webhook that is due.
 *
 * - `send`: send it, then call `end`.
 * - `wait`: its receiver or its tenant has as many deliveries as it may; look again after `ms` milliseconds.
 * - `skip`: the circuit breaker of its receiver is open; the try has failed, for the reason `why`.
 */
export type Turn =
  | { kind: 'send'; end: (result: TryEnd, why?: string) => void }
  | { kind: 'wait'; ms: number }
  | { kind: 'skip'; why: string };

/**
 * Receivers decides which webhooks of a worker are sent now, so that a receiver that does not answer holds up
 * only its own webhooks, and a tenant only its own. It lives in the memory of one worker: each worker of a
 * fleet has these bounds and finds out by itself which receivers fail.
 *
 * | the circuit breaker of a receiver is | entered when | a crash leaves |
 * |---|---|---|
 * | closed: tries are sent | at the start; a try or a probe was answered with 2xx | a worker that begins closed |
 * | open: tries fail unsent, so that each keeps its schedule | `failures` different webhooks in a row failed | the same |
 * | probing: one try is sent | the time of the next probe has come, and a try is due | the same; the webhook is sent again |
 */
export interface Receivers {
  turnOf(webhook: Try): Turn;
}

interface Lane {
  /** The running deliveries in the order of their start, each with its start time in milliseconds. */
  running: Set<{ since: number }>;
  /** The time until which the next waiting webhook is delayed. */
  nextTurn: number;
  /** The mean time of recent deliveries, in milliseconds. */
  meanMs: number;
}

interface Receiver extends Lane {
  failing: Set<string>;
  lastFailure: string;
  isProbed: boolean;
  probeAt: number;
  probeMs: number;
}

const FIRST_MEAN_MS = 50;
const NEW_SHARE = 0.2;
/** The most receivers that are remembered. The oldest ones are forgotten first. */
const MOST_RECEIVERS = 10_000;
/** The shortest and the longest time after which a waiting webhook is tried again, in milliseconds. */
const WAIT_MS = { least: 50, most: 60_000 };

/** @param now the clock, in milliseconds. */
export function createReceivers(limits = RECEIVER_LIMITS, now: () => number = Date.now): Receivers {
  const receivers = new Map<string, Receiver>();
  const tenants = new Map<string, Lane>();
  const lane = (): Lane => ({ running: new Set(), nextTurn: 0, meanMs: FIRST_MEAN_MS });

  const receiverOf = (host: string): Receiver => {
    const known = receivers.get(host);
    if (known !== undefined) return known;
    for (const [other, { running }] of receivers) {
      if (receivers.size < MOST_RECEIVERS) break;
      if (running.size === 0) receivers.delete(other);
    }
    const receiver = {
      ...lane(),
      ...{ failing: new Set<string>(), lastFailure: '', isProbed: false, probeAt: 0 },
      probeMs: limits.firstProbeMs,
    };
    receivers.set(host, receiver);
    return receiver;
  };
  const tenantOf = (tenant: string): Lane => {
    const known = tenants.get(tenant) ?? lane();
    tenants.set(tenant, known);
    return known;
  };

  /** Puts a webhook at the end of those that wait for a lane. */
  const waitFor = (full: Lane, most: number): Turn => {
    const [oldest = { since: now() }] = full.running;
    const eachMs = Math.max(full.meanMs, now() - oldest.since) / most;
    full.nextTurn = Math.max(full.nextTurn, now()) + eachMs;
    return { kind: 'wait', ms: Math.min(Math.max(full.nextTurn - now(), WAIT_MS.least), WAIT_MS.most) };
  };

  const isOpen = ({ failing }: Receiver): boolean => failing.size >= limits.failures;

  const fail = (receiver: Receiver, id: string, why: string, isProbe: boolean): void => {
    const wasOpen = isOpen(receiver);
    receiver.lastFailure = why;
    if (!wasOpen) receiver.failing.add(id);
    else if (isProbe) receiver.probeMs = Math.min(2 * receiver.probeMs, limits.lastProbeMs);
    if (!wasOpen && isOpen(receiver)) receiver.probeMs = limits.firstProbeMs;
    if (!wasOpen || isProbe) receiver.probeAt = now() + receiver.probeMs;
  };

  /** A receiver without failures and without running deliveries need not be remembered. */
  const forgetIdle = (host: string, receiver: Receiver, tenant: string): void => {
    const isIdle = ({ running, nextTurn }: Lane): boolean => running.size === 0 && nextTurn <= now();
    if (receiver.failing.size === 0 && isIdle(receiver)) receivers.delete(host);
    if (isIdle(tenantOf(tenant))) tenants.delete(tenant);
  };

  return {
    turnOf({ id, url, tenant, isLast }) {
      // The sender refuses a string that is not a URL.
      const host = URL.canParse(url) ? new URL(url).host : '';
      const receiver = receiverOf(host);
      const own = tenantOf(tenant);
      const isProbe = isOpen(receiver) && !receiver.isProbed && now() >= receiver.probeAt;
      if (isOpen(receiver) && !isProbe && !isLast) {
        const many = `${limits.failures} webhooks in a row have failed`;
        return { kind: 'skip', why: `not sent, because ${many}; the last one: ${receiver.lastFailure}` };
      }
      if (receiver.running.size >= limits.perReceiver) return waitFor(receiver, limits.perReceiver);
      if (own.running.size >= limits.perTenant) return waitFor(own, limits.perTenant);

      const run = { since: now() };
      for (const { running } of [receiver, own]) running.add(run);
      if (isProbe) receiver.isProbed = true;
      return {
        kind: 'send',
        end(result, why = '') {
          for (const one of [receiver, own]) {
            one.running.delete(run);
            one.meanMs += NEW_SHARE * (now() - run.since - one.meanMs);
          }
          if (result === 'delivered') receiver.failing.clear();
          if (result === 'failed') fail(receiver, id, why, isProbe);
          if (isProbe) receiver.isProbed = false;
          forgetIdle(host, receiver, tenant);
        },
      };
    },
  };
}
