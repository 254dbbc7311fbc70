import { createReceivers, type Receivers, type Turn } from '../../../worker/webhooks/receivers.ts';

const LIMITS = { perReceiver: 2, perTenant: 3, failures: 2, firstProbeMs: 1000, lastProbeMs: 4000 };
const [SILENT, GOOD] = ['https://silent.test/hook', 'https://good.test/hook'];

let now: number;
let receivers: Receivers;
let ids: number;
beforeEach(() => {
  [now, ids] = [1_000_000, 0];
  receivers = createReceivers(LIMITS, () => now);
});

function turn(url: string, { tenant = 'ann', isLast = false } = {}): Turn {
  ids += 1;
  return receivers.turnOf({ id: `msg_${ids}`, url, tenant, isLast });
}

/** Sends a webhook and ends it at once. */
function send(url: string, result: 'delivered' | 'failed'): void {
  const sent = turn(url);
  if (sent.kind !== 'send') throw new Error(`expected a webhook to be sent, saw ${sent.kind}`);
  sent.end(result, 'no answer');
}

it('a receiver gets so many deliveries at once, and other receivers get theirs', () => {
  expect([turn(SILENT).kind, turn(SILENT).kind, turn(SILENT).kind]).toEqual(['send', 'send', 'wait']);
  expect(turn(GOOD).kind).toBe('send');
});

it('a tenant has so many deliveries at once, and other tenants have theirs', () => {
  for (const host of ['a', 'b', 'c']) expect(turn(`https://${host}.test/`).kind).toBe('send');
  expect(turn(GOOD).kind).toBe('wait');
  expect(turn(GOOD, { tenant: 'ben' }).kind).toBe('send');
});

it('webhooks that wait are put off one after the other, the longer the longer their receiver is silent', () => {
  turn(SILENT);
  turn(SILENT);
  now += 10_000;
  const waits = Array.from({ length: 3 }, () => turn(SILENT)).map((one) =>
    one.kind === 'wait' ? one.ms : 0,
  );
  expect(waits).toEqual([5000, 10_000, 15_000]);
});

it('an end makes room for the next delivery', () => {
  const [first] = [turn(SILENT), turn(SILENT)];
  if (first.kind === 'send') first.end('delivered');
  expect(turn(SILENT).kind).toBe('send');
});

describe('the circuit breaker of a receiver', () => {
  it('opens after several failures in a row, and lets one probe pass at a time', () => {
    send(SILENT, 'failed');
    send(SILENT, 'failed');
    expect(turn(SILENT)).toEqual({ kind: 'skip', why: expect.stringContaining('no answer') });
    expect(turn(GOOD).kind).toBe('send');
    now += LIMITS.firstProbeMs;
    const probe = turn(SILENT);
    expect([probe.kind, turn(SILENT).kind]).toEqual(['send', 'skip']);
    if (probe.kind === 'send') probe.end('failed', 'no answer');
    now += LIMITS.firstProbeMs;
    expect(turn(SILENT).kind).toBe('skip');
    now += LIMITS.firstProbeMs;
    send(SILENT, 'delivered');
    expect([turn(SILENT).kind, turn(SILENT).kind]).toEqual(['send', 'send']);
  });

  it('does not open for failures with a success between them, nor twice for one webhook', () => {
    send(SILENT, 'failed');
    send(SILENT, 'delivered');
    send(SILENT, 'failed');
    const again = receivers.turnOf({ id: `msg_${ids}`, url: SILENT, tenant: 'ann', isLast: false });
    if (again.kind === 'send') again.end('failed', 'no answer');
    expect(turn(SILENT).kind).toBe('send');
  });

  it('lets the last try of a webhook pass, so that none is given up without one', () => {
    send(SILENT, 'failed');
    send(SILENT, 'failed');
    expect(turn(SILENT, { isLast: true }).kind).toBe('send');
  });

  it('sends another probe when a probe was interrupted', () => {
    send(SILENT, 'failed');
    send(SILENT, 'failed');
    now += LIMITS.firstProbeMs;
    const probe = turn(SILENT);
    if (probe.kind === 'send') probe.end(undefined);
    expect(turn(SILENT).kind).toBe('send');
  });
});
