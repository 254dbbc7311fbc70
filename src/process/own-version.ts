import { createRequire } from 'node:module';

/**
 * ownVersion returns the version of this o3-queue. The version is read by package name and not by path,
 * because the compiled file is in another folder.
 */
export function ownVersion(): string {
  const manifest: unknown = createRequire(import.meta.url)('o3-queue/package.json');
  const isManifest = typeof manifest === 'object' && manifest !== null && 'version' in manifest;
  return isManifest ? String(manifest.version) : 'unknown';
}
