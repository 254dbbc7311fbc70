import { createRequire } from 'node:module';

/** The version of this o3-queue. By its own name, and not by a path: this file lies elsewhere once it is compiled. */
export function ownVersion(): string {
  const manifest: unknown = createRequire(import.meta.url)('o3-queue/package.json');
  const isManifest = typeof manifest === 'object' && manifest !== null && 'version' in manifest;
  return isManifest ? String(manifest.version) : 'unknown';
}
