/** log, exec, attach and portforward of pods: checked here, done by the pod's kubelet. Source: upstream's pkg/registry/core/pod (strategy.go, rest/log.go, rest/subresources.go). */
import type { Pod } from '../../api/core/v1.ts';
import { badRequest, internalError, invalid, StatusError, type FieldError } from '../../api/meta/status.ts';
import * as problem from '../../api/validation/field.ts';
import { existing, type Call } from '../handlers/context.ts';
import type { ApiResult, Query } from '../request.ts';
import { ask, textOf } from './fetch.ts';
import { kubeletOf, type KubeletConfig } from './kubelet.ts';

async function podOf(call: Call): Promise<Pod> { return (await existing(call)).object as unknown as Pod; }
const list = (names: readonly string[]) => `[${names.join(' ')}]`;

/** The container a request means; there is no need to name an only one. */
function containerOf(pod: Pod, wanted: string): string {
  const { containers, initContainers = [], ephemeralContainers = [] } = pod.spec;
  const { name } = pod.metadata;
  if (wanted === '') {
    if (containers.length === 1) return containers[0]!.name;
    const more = (what: string, all: readonly { name: string }[]) => (all.length > 0 ? ` or one of the ${what} containers: ${list(all.map((one) => one.name))}` : '');
    throw badRequest(`a container name must be specified for pod ${name}, choose one of: ${list(containers.map((one) => one.name))}${more('init', initContainers)}${more('ephemeral', ephemeralContainers)}`);
  }
  if (![...containers, ...initContainers, ...ephemeralContainers].some((one) => one.name === wanted)) throw badRequest(`container ${wanted} is not valid for pod ${name}`);
  return wanted;
}

function integer(query: Query, name: string, least: number, errors: FieldError[]): string | undefined {
  const text = query.get(name);
  if (text === '') return undefined;
  if (!/^-?\d+$/.test(text)) throw badRequest(`${name}: Invalid value: ${JSON.stringify(text)}: strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  if (Number(text) < least) errors.push(problem.invalid(problem.field(name), Number(text), least === 0 ? problem.isNegative : 'must be greater than 0'));
  return text;
}

export async function log(call: Call, config: KubeletConfig): Promise<ApiResult> {
  const { request, context } = call;
  const { query } = request;
  const errors: FieldError[] = [];
  const params = new URLSearchParams();
  for (const name of ['follow', 'previous', 'timestamps']) if (query.flag(name)) params.set(name, 'true');
  for (const [name, least] of [['tailLines', 0], ['limitBytes', 1], ['sinceSeconds', 1]] as const) {
    const value = integer(query, name, least, errors);
    if (value !== undefined) params.set(name, value);
  }
  const sinceTime = query.get('sinceTime');
  if (sinceTime !== '') {
    if (Number.isNaN(Date.parse(sinceTime))) throw badRequest(`sinceTime: Invalid value: ${JSON.stringify(sinceTime)}: must be in RFC 3339 form`);
    params.set('sinceTime', sinceTime);
    if (params.has('sinceSeconds')) errors.push(problem.forbidden(problem.field('sinceSeconds'), 'at most one of `sinceTime` or `sinceSeconds` may be specified'));
  }
  const stream = query.get('stream');
  if (stream !== '') {
    if (!['All', 'Stdout', 'Stderr'].includes(stream)) errors.push(problem.notSupported(problem.field('stream'), stream, ['All', 'Stderr', 'Stdout']));
    if (stream !== 'All' && params.has('tailLines')) errors.push(problem.forbidden(problem.field('tailLines'), '`tailLines` is not supported with a specific `stream`'));
    params.set('stream', stream);
  }
  if (errors.length > 0) throw invalid({ group: '', kind: 'PodLogOptions' }, call.info.name, errors);
  const pod = await podOf(call);
  const container = containerOf(pod, query.get('container'));
  const { nodeName } = pod.spec;
  if (!nodeName) return { type: 'raw', code: 200, contentType: 'text/plain', body: '' };
  const { origin, tls } = await kubeletOf(context, config, nodeName);
  const { namespace, name } = pod.metadata;
  const url = new URL(`${origin}/containerLogs/${encodeURIComponent(namespace!)}/${encodeURIComponent(name)}/${encodeURIComponent(container)}?${params.toString()}`);
  const answer = await ask({ url, method: 'GET', headers: {}, tls: query.flag('insecureSkipTLSVerifyBackend') ? { ...tls, rejectUnauthorized: false } : tls, signal: request.signal });
  const code = answer.statusCode ?? 502;
  if (code < 200 || code > 206) {
    const text = (await textOf(answer)).trim();
    if (code === 400) throw badRequest(text);
    if (code === 500) throw internalError(text);
    throw new StatusError({ code, reason: code === 404 ? 'NotFound' : '', message: text || `the kubelet answered ${code}`, details: { name, kind: 'pods/log' } });
  }
  return { type: 'stream', code: 200, headers: { 'content-type': answer.headers['content-type'] ?? 'text/plain' }, body: answer };
}

export async function connectPod(call: Call, config: KubeletConfig): Promise<ApiResult> {
  const { request, context, info } = call;
  const { query } = request;
  const pod = await podOf(call);
  const { namespace, name } = pod.metadata;
  const phase = pod.status?.phase;
  const streams = info.subresource !== 'portforward';
  if (streams && (phase === 'Succeeded' || phase === 'Failed')) throw badRequest(`cannot exec into a container in a completed pod; current phase is ${phase}`);
  const params = new URLSearchParams();
  let path: string;
  if (streams) {
    const container = containerOf(pod, query.get('container'));
    if (info.subresource === 'exec') {
      const command = query.all('command');
      if (command.length === 0) throw invalid({ group: '', kind: 'PodExecOptions' }, name, [problem.required(problem.field('command'))]);
      for (const word of command) params.append('command', word);
    }
    // The kubelet's own parameter names.
    for (const [from, to] of [['stdin', 'input'], ['stdout', 'output'], ['stderr', 'error'], ['tty', 'tty']] as const) if (query.flag(from)) params.set(to, '1');
    path = `/${info.subresource}/${encodeURIComponent(namespace!)}/${encodeURIComponent(name)}/${encodeURIComponent(container)}`;
  } else {
    for (const port of query.all('ports')) for (const one of port.split(',')) params.append('port', one);
    path = `/portForward/${encodeURIComponent(namespace!)}/${encodeURIComponent(name)}`;
  }
  if (!pod.spec.nodeName) throw badRequest(`pod ${name} does not have a host assigned`);
  const { origin, tls } = await kubeletOf(context, config, pod.spec.nodeName);
  return { type: 'upgrade', target: { url: new URL(`${origin}${path}?${params.toString()}`), method: request.method, headers: {}, tls } };
}
