/** How this program starts itself again: the same Node on the same entry file, source or bundle. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

export function selfCommand(): { command: string; args: string[] } {
  const source = join(import.meta.dirname, 'knarr.ts');
  const entry = existsSync(source) ? source : join(import.meta.dirname, 'knarr.js');
  return { command: process.execPath, args: ['--disable-warning=ExperimentalWarning', entry] };
}
