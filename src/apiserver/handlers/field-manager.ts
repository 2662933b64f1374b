/** Who is recorded in managedFields for a write. Source: apiserver/pkg/endpoints/handlers/create.go managerOrUserAgent. */
import { badRequest } from '../../api/meta/status.ts';
import type { ApiRequest } from '../request.ts';

const limit = 128;
/** The `fieldManager` parameter, else the first part of User-Agent. */
export function managerOf({ query, userAgent }: ApiRequest): string {
  const manager = query.get('fieldManager');
  if (manager !== '') {
    if (manager.length > limit) throw badRequest(`fieldManager: Too long: may not be more than ${limit} bytes`);
    // eslint-disable-next-line no-control-regex
    if (/[\u0000-\u001f\u007f]/.test(manager)) throw badRequest(`fieldManager: Invalid value: ${JSON.stringify(manager)}: should only contain printable characters`);
    return manager;
  }
  return userAgent.split('/')[0]!.slice(0, limit) || 'unknown';
}
