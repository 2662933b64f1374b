/** What this build calls itself. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** From package.json, which lies two folders up in a clone and one up in the published bundle. */
function readVersion(): string {
  for (const up of ['../..', '..']) {
    try {
      const found = JSON.parse(readFileSync(join(import.meta.dirname, up, 'package.json'), 'utf8')) as { name: string; version: string };
      if (found.name === 'knarr') return found.version;
    } catch { /* look further up */ }
  }
  return '0.0.0';
}
export const productVersion = readVersion();
/** The level of the API. Clients compare major and minor. */
export const kubernetesVersion = 'v1.36.0';
export const gitVersion = `${kubernetesVersion}+knarr.${productVersion}`;
