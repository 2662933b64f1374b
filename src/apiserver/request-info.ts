/** What a request asks for, from its method and path. Source: apiserver/pkg/endpoints/request/requestinfo.go. */
import { parseFieldSelector } from '../api/field-selector.ts';
import type { Query } from './request.ts';
import type { RequestInfo } from './types.ts';

const verbOf: Readonly<Record<string, string>> = { POST: 'create', GET: 'get', HEAD: 'get', PUT: 'update', PATCH: 'patch', DELETE: 'delete' };
const namespaceSubresources = new Set(['status', 'finalize']);

/** Segments of `path` between slashes; decoded by the caller, so a name never holds a slash. */
export function requestInfo(method: string, path: string, query: Query): RequestInfo {
  const info: RequestInfo = { verb: method.toLowerCase(), path, isResource: false, group: '', version: '', namespace: '', resource: '', subresource: '', name: '', rest: '' };
  const core = path.startsWith('/api/');
  if (!core && !path.startsWith('/apis/')) return info;
  const parts = path.split('/');
  // parts[0] is empty; a trailing slash adds an empty last part, which is no part.
  let end = parts.length;
  while (end > 1 && parts[end - 1] === '') end--;
  let at = 2;
  if (!core) { info.group = parts[at] ?? ''; at++; }
  if (end - at < 2) { info.group = ''; return info; }
  info.isResource = true;
  info.version = parts[at++]!;
  info.verb = verbOf[method] ?? '';
  let watchPath = false;
  if (parts[at] === 'watch' || parts[at] === 'proxy') {
    info.verb = parts[at++]!;
    if (at >= end) { info.isResource = false; return info; }
    watchPath = true;
  }
  if (parts[at] === 'namespaces' && end - at > 1) {
    info.namespace = parts[at + 1]!;
    if (end - at > 2 && !namespaceSubresources.has(parts[at + 2]!)) at += 2;
  }
  info.resource = parts[at]!;
  if (at + 1 < end) info.name = parts[at + 1]!;
  if (at + 2 < end && !watchPath) {
    info.subresource = parts[at + 2]!;
    // What follows keeps its trailing slash: proxied servers care.
    if (parts.length > at + 3) info.rest = parts.slice(at + 3).join('/');
  }
  if (info.name === '') {
    if (info.verb === 'get') {
      info.verb = query.flag('watch') ? 'watch' : 'list';
      const selector = query.get('fieldSelector');
      if (selector.includes('metadata.name')) {
        try {
          const term = parseFieldSelector(selector).terms.find(({ field, operator }) => field === 'metadata.name' && operator === '=');
          if (term) info.name = term.value;
        } catch { /* reported when the list is made */ }
      }
    } else if (info.verb === 'delete') info.verb = 'deletecollection';
  }
  return info;
}
