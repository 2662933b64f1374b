/** Paths to attributes, after upstream's requestinfo_test.go. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { requestInfo } from './request-info.ts';
import { Query } from './request.ts';

const cases: [method: string, url: string, expected: object][] = [
  ['GET', '/api/v1/namespaces', { verb: 'list', resource: 'namespaces', namespace: '', name: '' }],
  ['GET', '/api/v1/namespaces/other', { verb: 'get', resource: 'namespaces', namespace: 'other', name: 'other' }],
  ['GET', '/api/v1/namespaces/other/pods', { verb: 'list', resource: 'pods', namespace: 'other', name: '' }],
  ['GET', '/api/v1/namespaces/other/pods/foo', { verb: 'get', resource: 'pods', namespace: 'other', name: 'foo' }],
  ['PUT', '/api/v1/namespaces/other/finalize', { verb: 'update', resource: 'namespaces', name: 'other', subresource: 'finalize' }],
  ['GET', '/api/v1/pods', { verb: 'list', resource: 'pods', namespace: '' }],
  ['GET', '/api/v1/pods?watch=true', { verb: 'watch' }],
  ['GET', '/api/v1/pods?watch=false', { verb: 'list' }],
  ['GET', '/api/v1/pods?fieldSelector=metadata.name%3Dfoo', { verb: 'list', name: 'foo' }],
  ['GET', '/api/v1/watch/namespaces/other/pods', { verb: 'watch', resource: 'pods', namespace: 'other' }],
  ['GET', '/api/v1/watch/namespaces/other/pods/foo', { verb: 'watch', resource: 'pods', namespace: 'other', name: 'foo' }],
  ['DELETE', '/api/v1/namespaces/other/pods', { verb: 'deletecollection', resource: 'pods' }],
  ['POST', '/api/v1/namespaces/other/pods/foo/binding', { verb: 'create', name: 'foo', subresource: 'binding' }],
  ['GET', '/api/v1/namespaces/other/services/https:web:443/proxy/a/b/', { name: 'https:web:443', subresource: 'proxy', rest: 'a/b/' }],
  ['PATCH', '/apis/apps/v1/namespaces/other/deployments/d/scale', { verb: 'patch', group: 'apps', version: 'v1', resource: 'deployments', name: 'd', subresource: 'scale' }],
  ['GET', '/apis/apps/v1', { verb: 'get', isResource: false }],
  ['GET', '/apis/apps', { verb: 'get', isResource: false }],
  ['GET', '/api/v1', { isResource: false }],
  ['POST', '/healthz', { verb: 'post', isResource: false, path: '/healthz' }],
];
for (const [method, url, expected] of cases) {
  test(`${method} ${url}`, () => {
    const [path = '', query] = url.split('?');
    const info = requestInfo(method, path, new Query(query === undefined ? undefined : new URLSearchParams(query)));
    assert.deepEqual(Object.fromEntries(Object.keys(expected).map((name) => [name, info[name as keyof typeof info]])), expected);
  });
}
