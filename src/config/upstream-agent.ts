import { Agent, type Dispatcher, EnvHttpProxyAgent } from 'undici';
import type { ProxyAddresses } from './upstream-address.ts';

/**
 * The upstream on this machine, such as the simulator, is reached directly: a proxy would look on its own.
 */
const ALWAYS_DIRECT = 'localhost,127.0.0.1,[::1]';

/**
 * createUpstreamAgent makes the connections to the upstream: directly, or by CONNECT through a proxy, which
 * then sees the name of the upstream and encrypted bytes.
 *
 * @param proxy undefined: there is none.
 */
export function createUpstreamAgent(proxy: ProxyAddresses | undefined, options: Agent.Options): Dispatcher {
  const { http, https, except = '' } = proxy ?? {};
  if ((http === undefined && https === undefined) || except === '*') return new Agent(options);
  const noProxy = except === '' ? ALWAYS_DIRECT : `${except},${ALWAYS_DIRECT}`;
  // The empty texts keep undici from reading the variables of the process itself.
  return new EnvHttpProxyAgent({ ...options, httpProxy: http ?? '', httpsProxy: https ?? '', noProxy });
}
