/** UpstreamAddress says where the upstream is, and with which key it is called. */
export interface UpstreamAddress {
  /** undefined: the upstream needs no key. It may change: read it for each request. */
  readonly apiKey: string | undefined;
  /** undefined: OpenAI. */
  readonly baseUrl: string | undefined;
  /** The proxies on the way to it. Default: none. */
  readonly proxy?: ProxyAddresses;
}

/** ProxyAddresses are the URLs of HTTP proxies. */
export interface ProxyAddresses {
  /** The proxy for an upstream of `http://`. */
  readonly http: string | undefined;
  /** The proxy for an upstream of `https://`. */
  readonly https: string | undefined;
  /** The hosts that are reached directly, separated by commas; `*`: all of them. */
  readonly except: string | undefined;
}

/** withProxies prefers `https_proxy` to `HTTPS_PROXY`, and so on, as curl does. */
export function withProxies(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const small = (name: string) => environment[name.toLowerCase()] || environment[name];
  const names = ['HTTPS_PROXY', 'HTTP_PROXY', 'NO_PROXY'];
  return { ...environment, ...Object.fromEntries(names.map((name) => [name, small(name)])) };
}

/**
 * baseOf splits a base URL into the parts that OpenAI's SDK takes. The base URL of Azure has a query, such as
 * `?api-version=preview`, and each path goes before that query.
 */
export function baseOf(baseUrl: string | undefined): {
  baseURL?: string;
  defaultQuery?: Record<string, string>;
} {
  if (baseUrl === undefined) return {};
  const url = new URL(baseUrl);
  const defaultQuery = Object.fromEntries(url.searchParams);
  url.search = '';
  url.hash = '';
  return { baseURL: url.href.replace(/\/$/, ''), defaultQuery };
}

/**
 * The length of the shortest API key that is removed from texts. Shorter values are placeholders, such as
 * `ollama` or `lm-studio`, which an answer may mention.
 */
const SHORTEST_KEY = 16;

/** maskOf returns a function that removes an API key from a text, even if JSON or a URL has escaped it. */
export function maskOf(apiKey: string | undefined): (text: string) => string {
  if (apiKey === undefined || apiKey.length < SHORTEST_KEY) return (text) => text;
  const inJson = JSON.stringify(apiKey).slice(1, -1);
  const forms = new Set([apiKey, inJson, inJson.replaceAll('/', '\\/'), encodeURIComponent(apiKey)]);
  return (text) => {
    let masked = text;
    for (const form of forms) if (masked.includes(form)) masked = masked.replaceAll(form, '[API key]');
    return masked;
  };
}
