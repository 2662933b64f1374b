/** One POST to a conversion webhook, by URL or through its Service. Source: apiserver/pkg/util/webhook/client.go; kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning. */
import { Agent, request as httpsRequest } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { endpointslices, services } from '../../api/resources.ts';
import type * as v1 from '../../api/apiextensions/v1.ts';
import type { Service } from '../../api/core/v1.ts';
import type { EndpointSlice } from '../../api/discovery/v1.ts';
import type { Json } from '../../base/json.ts';
import { originsOf, pickOrigin } from '../aggregator/resolve.ts';
import type { ServerContext } from '../handlers/context.ts';
import type { CallConversion } from './conversion.ts';

/** How long a webhook may take; upstream's default of the client. */
const timeoutMs = 30_000;
/** An answer larger than this is not read. Source: the apiserver's own limit of a request, with room for wrapping. */
const answerLimitBytes = 64 * 1024 * 1024;

export function createConversionCaller(context: ServerContext, name: string, { url, service, caBundle }: v1.WebhookClientConfig): CallConversion {
  const ca = caBundle ? Buffer.from(caBundle, 'base64').toString() : '';
  /** One per definition: connections to a webhook are kept. */
  let agent: Agent | undefined;
  return async (review) => {
    const target = url !== undefined ? { url: new URL(url), servername: undefined } : await serviceTarget(context, service!);
    target.url.searchParams.set('timeout', `${timeoutMs / 1000}s`);
    agent ??= new Agent({ keepAlive: true, maxSockets: 8, ...(ca.trim() === '' ? {} : { ca }) });
    const shown = url !== undefined ? target.url.href : `https://${service!.name}.${service!.namespace}.svc:${service!.port ?? 443}${service!.path ?? '/'}?timeout=${timeoutMs / 1000}s`;
    let answer: { code: number; text: string };
    try { answer = await post(context, target, agent, JSON.stringify(review), name); } catch (err) { throw new Error(`Post ${JSON.stringify(shown)}: ${(err as Error).message}`, { cause: err }); }
    if (answer.code < 200 || answer.code > 299) throw new Error(answer.code === 404 ? 'the server could not find the requested resource' : `an error on the server (${JSON.stringify(answer.text.slice(0, 2048).trim() || 'unknown')}) has prevented the request from succeeding`);
    try { return JSON.parse(answer.text) as Json; } catch { throw new Error(`couldn't get version/kind; json parse error: invalid character in the answer of the webhook`); }
  };
}

interface Target { url: URL; servername: string | undefined }

async function serviceTarget(context: ServerContext, { namespace, name, port = 443, path = '/' }: v1.ServiceReference): Promise<Target> {
  const { resources } = context;
  const [serviceCache, sliceCache] = [resources.for(services as never)?.cache, resources.for(endpointslices as never)?.cache];
  await Promise.all([serviceCache?.ready(), sliceCache?.ready()]);
  const origins = originsOf({
    service: (inside, wanted) => serviceCache?.get(`/registry/services/specs/${inside}/${wanted}`)?.object as unknown as Service | undefined,
    slices: (inside, wanted) => (sliceCache?.list(inside) ?? []).map((entry) => entry.object as unknown as EndpointSlice).filter((slice) => slice.metadata.labels?.['kubernetes.io/service-name'] === wanted),
  }, namespace, name, port, 'endpoint');
  return { url: new URL(path, pickOrigin(origins, context.rng)), servername: `${name}.${namespace}.svc` };
}

function post({ clock }: ServerContext, { url, servername }: Target, agent: Agent, body: string, definition: string): Promise<{ code: number; text: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = httpsRequest(url, {
      method: 'POST', agent, ...(servername ? { servername } : {}), headers: { 'content-type': 'application/json', accept: 'application/json, */*', 'user-agent': 'kube-apiserver-admission', 'content-length': Buffer.byteLength(body), ...(servername ? { host: servername } : {}) },
    });
    const timer = clock.after(timeoutMs, () => outgoing.destroy(new Error(`context deadline exceeded (conversion webhook of ${definition})`)), { keepAlive: false });
    const done = (run: () => void) => { timer.cancel(); run(); };
    outgoing.on('error', (err) => done(() => reject(err)));
    outgoing.on('response', (answer: IncomingMessage) => {
      const chunks: Buffer[] = [];
      let size = 0;
      answer.on('data', (chunk: Buffer) => { size += chunk.length; if (size > answerLimitBytes) outgoing.destroy(new Error(`the answer exceeds ${answerLimitBytes} bytes`)); else chunks.push(chunk); });
      answer.on('end', () => done(() => resolve({ code: answer.statusCode ?? 0, text: Buffer.concat(chunks).toString() })));
      answer.on('error', (err) => done(() => reject(err)));
    });
    outgoing.end(body);
  });
}
