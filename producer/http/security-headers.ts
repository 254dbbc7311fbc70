import type { RequestHandler } from 'express';
import helmet from 'helmet';

/**
 * What every answer tells a browser about itself; pages replace the content policy by one of their own.
 * Not Strict-Transport-Security, which is for the proxy that has a certificate.
 */
export function securityHeaders(): RequestHandler {
  return helmet({
    // For JSON, which needs nothing.
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { 'default-src': ["'none'"], 'frame-ancestors': ["'none'"] },
    },
    strictTransportSecurity: false,
    xFrameOptions: { action: 'deny' },
    // With helmet's own `no-referrer` a browser sends `Origin: null` with the form of the login page, which then looks like a stranger's.
    referrerPolicy: { policy: 'same-origin' },
  });
}
