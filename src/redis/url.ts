import { RedisUnavailableError } from '../errors/setup-error.ts';

/** HostAndPort is the address of one server. */
export type HostAndPort = { readonly host: string; readonly port: number };

/** RedisCredentials are the user and password for the Redis servers. */
export type RedisCredentials = { readonly username?: string; readonly password?: string };

/** RedisAddress says where Redis is, in one shape per accepted form of URL. */
export type RedisAddress =
  | {
      readonly kind: 'single';
      readonly tls: boolean;
      readonly server: HostAndPort;
      readonly database: number;
      readonly credentials: RedisCredentials;
    }
  | {
      readonly kind: 'sentinel';
      /** Whether the sentinels and the Redis servers are reached over TLS. */
      readonly tls: boolean;
      readonly sentinels: readonly HostAndPort[];
      readonly masterName: string;
      readonly database: number;
      /** Only for the Redis servers: the sentinels are asked without a password. */
      readonly credentials: RedisCredentials;
    }
  | {
      readonly kind: 'cluster';
      readonly tls: boolean;
      readonly nodes: readonly HostAndPort[];
      readonly credentials: RedisCredentials;
    };

const ACCEPTED_FORMS = `Accepted are:
  redis://[user:password@]host[:6379][/database]
  redis+sentinel://[user:password@]host:26379,host:26379/NAME[/database]
  redis+cluster://[user:password@]host:6379,host:6379
  rediss://, rediss+sentinel://, rediss+cluster://             (the same over TLS)
Characters such as @ : / # in a password are written percent-encoded (%40 %3A %2F %23).`;

// `new URL` cannot read a list of hosts, so all forms are read the same way here.
const URL_PARTS =
  /^(?<scheme>rediss?(?:\+sentinel|\+cluster)?):\/\/(?:(?<userinfo>[^@/]*)@)?(?<hosts>[^@/?#]+)(?:\/(?<path>[^?#]*))?$/i;

const HOST_AND_PORT = /^(?<host>\[[0-9a-f:.]+\]|[^:[\]\s]+)(?::(?<port>\d+))?$/i;

/**
 * parseRedisUrl reads a Redis URL. It does no I/O.
 *
 * @throws {RedisUnavailableError} with the accepted forms, for any other string.
 */
export function parseRedisUrl(url: string): RedisAddress {
  const refuse = (reason: string): never => {
    throw new RedisUnavailableError(`Not a Redis URL: ${maskRedisUrl(url)} (${reason}). ${ACCEPTED_FORMS}`);
  };
  const parts = URL_PARTS.exec(url.trim())?.groups;
  if (parts === undefined) return refuse(reasonOfMismatch(url));
  // A / before the @ is refused first, because the reasons below would quote parts of the password.
  if (parts['path']?.includes('@')) return refuse('there is a / before the @: is it part of a password?');
  const scheme = parts['scheme']?.toLowerCase() ?? '';
  const tls = scheme.startsWith('rediss');
  const defaultPort = scheme.endsWith('+sentinel') ? 26379 : 6379;
  const servers = (parts['hosts'] ?? '').split(',').map((text): HostAndPort => {
    const found = HOST_AND_PORT.exec(text)?.groups;
    const host = found?.['host'];
    if (host === undefined) return refuse(`"${text}" is not host:port`);
    const port = Number(found?.['port'] ?? defaultPort);
    if (port < 1 || port > 65_535) return refuse(`port ${port} is not between 1 and 65535`);
    return { host: host.replace(/^\[|\]$/g, ''), port };
  });
  const credentials = credentialsFrom(parts['userinfo'] ?? '', refuse);
  const path = (parts['path'] ?? '').split('/');

  switch (scheme) {
    case 'redis':
    case 'rediss': {
      const [server, ...others] = servers;
      if (server === undefined || others.length > 0) return refuse(`${scheme}:// takes one host`);
      if (path.length > 1) return refuse('only a database number may follow the host');
      const database = databaseFrom(path[0] ?? '', refuse);
      return { kind: 'single', tls, server, database, credentials };
    }
    case 'redis+sentinel':
    case 'rediss+sentinel': {
      const [masterName = '', databaseText = '', ...rest] = path;
      if (masterName === '') return refuse('the name of the master is missing after the hosts');
      if (rest.length > 0) return refuse('only a database number may follow the name of the master');
      const database = databaseFrom(databaseText, refuse);
      return { kind: 'sentinel', tls, sentinels: servers, masterName, database, credentials };
    }
    case 'redis+cluster':
    case 'rediss+cluster': {
      // A cluster has database 0 only: its servers refuse SELECT.
      if (!['', '0'].includes(path.join('/'))) return refuse('a cluster has no databases to choose from');
      return { kind: 'cluster', tls, nodes: servers, credentials };
    }
    default:
      return refuse('unknown scheme');
  }
}

/**
 * maskRedisUrl returns the URL in the form that may be printed: without its password and without its query.
 */
export function maskRedisUrl(url: string): string {
  // The match goes up to the last @, so that a password with an unencoded @ or / does not leak its end.
  return url
    .trim()
    .replace(/^((?:[a-z0-9+.-]+:\/\/)?[^:@]*):(.*)@/i, '$1:***@')
    .replace(/\?.*$/s, '?***');
}

function reasonOfMismatch(url: string): string {
  if (url.trim() === '') return 'it is empty';
  if (url.includes('?') || url.includes('#')) return 'nothing may follow ? or #';
  if (!/^[a-z0-9+.-]+:\/\//i.test(url.trim())) return 'it does not begin with redis://';
  if (!/^rediss?(\+sentinel|\+cluster)?:/i.test(url.trim())) return 'unknown scheme';
  return 'the host is missing or malformed';
}

function credentialsFrom(userinfo: string, refuse: (reason: string) => never): RedisCredentials {
  const colon = userinfo.indexOf(':');
  const [user, secret] =
    colon === -1 ? [userinfo, ''] : [userinfo.slice(0, colon), userinfo.slice(colon + 1)];
  try {
    const username = decodeURIComponent(user);
    const password = decodeURIComponent(secret);
    return { ...(username !== '' && { username }), ...(password !== '' && { password }) };
  } catch {
    return refuse('the user or password has a % that begins no percent-encoded character');
  }
}

function databaseFrom(text: string, refuse: (reason: string) => never): number {
  if (!/^\d{0,4}$/.test(text)) return refuse(`"${text}" is not a database number`);
  return Number(text);
}
