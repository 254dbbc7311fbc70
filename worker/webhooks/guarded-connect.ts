import { lookup, Resolver } from 'node:dns/promises';
import { isIP, type LookupFunction } from 'node:net';
import { buildConnector } from 'undici';
import { refusedRange } from '../../src/job/fields/webhook-url.ts';

/** Resolve returns all addresses of a host name. */
export type Resolve = (hostname: string) => Promise<string[]>;

export interface GuardOptions {
  /** Returns whether to allow loopback and private ranges. Other ranges that are not public stay refused. */
  allowPrivate: () => boolean;
  /** Default: DNS; with `allowPrivate` the resolver of the system, which also reads the hosts file. */
  resolve?: Resolve;
  /** The longest time to connect, in milliseconds. */
  timeoutMs: number;
}

const DNS_TIMEOUT_MS = 3000;
const DNS_TRIES = 2;

/**
 * createGuardedConnect connects to public hosts only. For each connection it resolves the name once, checks
 * all addresses, and connects to one of them. A name that resolves differently a moment later can therefore
 * do no harm. If one address is refused, the whole name is: an honest name does not mix public and private
 * addresses.
 */
export function createGuardedConnect({
  allowPrivate,
  resolve = resolveBy(allowPrivate),
  timeoutMs,
}: GuardOptions): buildConnector.connector {
  const connect = buildConnector({ lookup: guardedLookup(allowPrivate, resolve), timeout: timeoutMs });
  return (options, callback) => {
    // Node calls no lookup function for an IP address.
    const isAddress = isIP(options.hostname) !== 0;
    const range = isAddress ? refusedRange(options.hostname, allowPrivate()) : undefined;
    if (range !== undefined) callback(refusal(options.hostname, options.hostname, range), null);
    else connect(options, callback);
  };
}

function guardedLookup(allowPrivate: () => boolean, resolve: Resolve): LookupFunction {
  const checked = async (hostname: string): Promise<{ address: string; family: number }[]> => {
    const addresses = await resolve(hostname);
    if (addresses.length === 0) throw new Error(`${hostname} has no address`);
    for (const address of addresses) {
      const range = refusedRange(address, allowPrivate());
      if (range !== undefined) throw refusal(hostname, address, range);
    }
    return addresses.map((address) => ({ address, family: isIP(address) }));
  };
  return (hostname, { all }, callback) => {
    checked(hostname).then(
      (addresses) => {
        const [first] = addresses;
        if (all === true) callback(null, addresses);
        else callback(null, first?.address ?? '', first?.family);
      },
      (error: unknown) => callback(error instanceof Error ? error : new Error(String(error)), ''),
    );
  };
}

function refusal(hostname: string, address: string, range: string): Error {
  const where = hostname === address ? address : `${hostname} is ${address}, which`;
  return new Error(`${where} is not public (${range})`);
}

function resolveBy(allowPrivate: () => boolean): Resolve {
  const resolveByDns = createDnsResolve();
  return (hostname) => (allowPrivate() ? resolveAsTheSystem(hostname) : resolveByDns(hostname));
}

/**
 * The resolver of the system, with the hosts file and search domains. It occupies one of the few threads of
 * the process until the answer comes.
 */
const resolveAsTheSystem: Resolve = async (hostname) =>
  (await lookup(hostname, { all: true })).map(({ address }) => address);

/**
 * createDnsResolve resolves through DNS only, which occupies no thread: a slow name server of one caller must
 * not delay other lookups of this process.
 */
function createDnsResolve(): Resolve {
  const resolver = new Resolver({ timeout: DNS_TIMEOUT_MS, tries: DNS_TRIES });
  return async (hostname) => {
    const [ipv4, ipv6] = await Promise.allSettled([resolver.resolve4(hostname), resolver.resolve6(hostname)]);
    const addresses = [ipv4, ipv6].flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
    if (addresses.length === 0 && ipv4.status === 'rejected') throw ipv4.reason;
    return addresses;
  };
}
