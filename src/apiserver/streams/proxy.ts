/**
 * The proxy subresource of pods, services and nodes: the request goes on to the named port, its path and redirects rewritten.
 * Source: upstream's pkg/registry/core/{pod,service,node}; apimachinery/pkg/util/proxy. Differs: links inside HTML are left alone.
 */
import { randomInt } from '../../base/rng.ts';
import type { Pod, Service } from '../../api/core/v1.ts';
import type { EndpointSlice } from '../../api/discovery/v1.ts';
import { badRequest, notFound, serviceUnavailable } from '../../api/meta/status.ts';
import { existing, fresh, type Call } from '../handlers/context.ts';
import type { ApiResult, TlsClientConfig } from '../request.ts';
import { ask } from './fetch.ts';
import { hostOf, kubeletOf, type KubeletConfig } from './kubelet.ts';
import { upgradeHeaders } from './upgrade.ts';

/** 'https:name:port', 'name:port', 'name'. Source: apimachinery/pkg/util/net SplitSchemeNamePort. */
export function splitSchemeNamePort(text: string): { scheme: string; name: string; port: string } | undefined {
  const parts = text.split(':');
  const [first = '', second = '', third = ''] = parts;
  switch (parts.length) {
    case 1: return first === '' ? undefined : { scheme: '', name: first, port: '' };
    case 2: return first === '' ? undefined : { scheme: '', name: first, port: second };
    case 3: return second === '' || !['', 'http', 'https'].includes(first) ? undefined : { scheme: first, name: second, port: third };
    default: return undefined;
  }
}

interface Target { origin: string; tls?: TlsClientConfig }
const unverified: TlsClientConfig = { rejectUnauthorized: false };

async function podTarget(call: Call, scheme: string, name: string, port: string): Promise<Target> {
  const pod = (await existing({ ...call, info: { ...call.info, name } })).object as unknown as Pod;
  const ip = pod.status?.podIP;
  if (!ip) throw badRequest('address not allowed');
  const named = pod.spec.containers.flatMap((container) => container.ports ?? []);
  const number = port === '' ? named[0]?.containerPort : /^\d+$/.test(port) ? Number(port) : named.find((one) => one.name === port)?.containerPort;
  return { origin: `${scheme || 'http'}://${hostOf(ip)}${number === undefined ? '' : `:${number}`}`, ...(scheme === 'https' ? { tls: unverified } : {}) };
}

async function serviceTarget(call: Call, scheme: string, name: string, port: string): Promise<Target> {
  const { context, info } = call;
  const service = (await existing({ ...call, info: { ...info, name } })).object as unknown as Service;
  const ports = service.spec.ports ?? [];
  const wanted = port === '' ? ports[0] : ports.find((one) => one.name === port || String(one.port) === port);
  if (port !== '' && !wanted) throw serviceUnavailable(`no service port "${port}" found for service "${name}"`);
  const slices = context.resources.find('discovery.k8s.io', 'v1', 'endpointslices');
  const targets: string[] = [];
  if (slices) {
    await fresh(context);
    await slices.cache.ready();
    for (const { object } of slices.cache.list(info.namespace)) {
      const slice = object as unknown as EndpointSlice;
      if (slice.metadata.labels?.['kubernetes.io/service-name'] !== name) continue;
      const number = slice.ports?.find((one) => (one.name ?? '') === (wanted?.name ?? ''))?.port ?? slice.ports?.[0]?.port;
      if (number === undefined) continue;
      for (const endpoint of slice.endpoints ?? []) if (endpoint.conditions?.ready !== false) for (const address of endpoint.addresses) targets.push(`${hostOf(address)}:${number}`);
    }
  }
  const target = targets[randomInt(context.rng, Math.max(1, targets.length))];
  if (target === undefined) throw serviceUnavailable(`no endpoints available for service "${name}"`);
  return { origin: `${scheme || 'http'}://${target}`, ...(scheme === 'https' ? { tls: unverified } : {}) };
}

async function nodeTarget(call: Call, config: KubeletConfig, scheme: string, name: string, port: string): Promise<Target> {
  const { origin, tls } = await kubeletOf(call.context, config, name);
  if (port === '') return { origin, tls };
  const url = new URL(origin);
  url.port = port;
  // Only the kubelet's own port is known to take our certificate.
  if (url.origin === origin) return { origin, tls };
  return { origin: `${scheme || 'http'}://${url.host}`, ...(scheme === 'https' ? { tls: unverified } : {}) };
}

const hopByHop = new Set(['connection', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'http2-settings', 'content-length']);

export async function proxy(call: Call, config: KubeletConfig): Promise<ApiResult> {
  const { request, info, resource } = call;
  const parts = splitSchemeNamePort(info.name);
  if (!parts) throw badRequest(`invalid ${resource.names.singular} request ${JSON.stringify(info.name)}`);
  const { scheme, name, port } = parts;
  const { plural } = resource.names;
  const prefix = request.path.slice(0, request.path.length - (info.rest === '' ? 0 : info.rest.length)).replace(/\/$/, '');
  const upgrading = /upgrade/i.test(String(request.headers.connection ?? ''));
  // A page's relative links need the slash.
  if (info.rest === '' && !request.path.endsWith('/') && (request.method === 'GET' || request.method === 'HEAD') && !upgrading && !request.inProcess) {
    const query = request.query.toString();
    return { type: 'raw', code: 301, contentType: 'text/html; charset=utf-8', body: '', headers: { location: `${request.path}/${query ? `?${query}` : ''}` } };
  }
  const target = plural === 'pods' ? await podTarget(call, scheme, name, port) : plural === 'services' ? await serviceTarget(call, scheme, name, port)
    : plural === 'nodes' ? await nodeTarget(call, config, scheme, name, port) : undefined;
  if (!target) throw notFound(resource.groupResource, info.name);
  const query = request.query.toString();
  const url = new URL(`${target.origin}/${info.rest.split('/').map(encodeURIComponent).join('/')}${query ? `?${query}` : ''}`);
  const forwarded = { 'x-forwarded-uri': request.path, 'x-forwarded-proto': 'https', ...(typeof request.headers.host === 'string' ? { 'x-forwarded-host': request.headers.host } : {}) };
  if (upgrading) return { type: 'upgrade', target: { url, method: request.method, headers: forwarded, ...(target.tls ? { tls: target.tls } : {}) } };

  const headers: Record<string, string | string[]> = {};
  for (const [header, value] of Object.entries(upgradeHeaders(request.headers as never))) if (!hopByHop.has(header) && !header.startsWith(':')) headers[header] = value;
  const length = request.headers['content-length'];
  if (typeof length === 'string') headers['content-length'] = length;
  const answer = await ask({ url, method: request.method, headers: { ...headers, ...forwarded }, body: request.method === 'GET' || request.method === 'HEAD' ? undefined : request.body, ...(target.tls ? { tls: target.tls } : {}), signal: request.signal });
  const kept: Record<string, string | string[]> = {};
  for (const [header, value] of Object.entries(answer.headers)) if (value !== undefined && (!hopByHop.has(header) || header === 'content-length')) kept[header] = value;
  if (typeof kept.location === 'string') kept.location = relocated(kept.location, url, prefix);
  return { type: 'stream', code: answer.statusCode ?? 502, headers: kept, body: answer };
}

/** A redirect within the backend stays within the proxy. */
export function relocated(location: string, from: URL, prefix: string): string {
  let to: URL;
  try { to = new URL(location, from); } catch { return location; }
  if (to.origin !== from.origin) return location;
  return `${prefix}${to.pathname}${to.search}${to.hash}`;
}
