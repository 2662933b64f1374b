/** What /version answers. Clients compare major and minor, and gitVersion by semantic versioning. */
import type { JsonObject } from '../base/json.ts';

/** The API level, with our name as build metadata. */
export const gitVersion = 'v1.36.0+knarr';

export function versionInfo(): JsonObject {
  return {
    major: '1', minor: '36', emulationMajor: '1', emulationMinor: '36', minCompatibilityMajor: '1', minCompatibilityMinor: '35', gitVersion, gitCommit: '', gitTreeState: 'clean', buildDate: '2026-01-01T00:00:00Z',
    goVersion: `node${process.versions.node}`, compiler: 'v8', platform: `${process.platform}/${process.arch === 'x64' ? 'amd64' : process.arch}`,
  };
}
