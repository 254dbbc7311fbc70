import { createServer, type RequestListener, type Server } from 'node:http';

/**
 * How long a connection may take to send the headers of a request, in milliseconds. Node allows a minute, and
 * in that time silent connections could use up the descriptors of the process.
 */
const HEADERS_MS = 10_000;
const CHECK_EVERY_MS = 2000;

/**
 * createHttpServer makes a server that closes connections that stay silent or send their headers too slowly.
 */
export function createHttpServer(listener?: RequestListener): Server {
  const options = { headersTimeout: HEADERS_MS, connectionsCheckingInterval: CHECK_EVERY_MS };
  return listener === undefined ? createServer(options) : createServer(options, listener);
}
