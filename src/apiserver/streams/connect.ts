/** Requests that end at a node or a pod rather than in the store, after authorization and CONNECT admission. */
import type { JsonObject } from '../../base/json.ts';
import { admit, validateAdmission } from '../handlers/admission.ts';
import { authorizeVerb } from '../handlers/authorization.ts';
import { noSuchMethod, type Call } from '../handlers/context.ts';
import { attributesOf } from '../handlers/write.ts';
import type { ApiResult } from '../request.ts';
import type { KubeletConfig } from './kubelet.ts';
import { connectPod, log } from './pods.ts';
import { proxy } from './proxy.ts';

export function createConnect(config: KubeletConfig): (call: Call) => Promise<ApiResult> {
  return async (call) => {
    const { info, resource, request, context } = call;
    if (info.subresource === 'log') {
      if (info.verb !== 'get') throw noSuchMethod();
      return log(call, config);
    }
    if (info.subresource !== 'proxy' && info.verb !== 'get' && info.verb !== 'create') throw noSuchMethod();
    // A WebSocket opens with GET whatever it does: whoever may only read must not exec. Source: KEP-5492.
    if (info.subresource !== 'proxy' && info.verb === 'get') await authorizeVerb(call, 'create');
    const names = resource.names.subresources[info.subresource]!;
    const options: JsonObject = { kind: names.kind ?? '', apiVersion: names.apiVersion ?? 'v1' };
    for (const name of ['container', 'stdin', 'stdout', 'stderr', 'tty', 'path']) if (request.query.has(name)) options[name] = ['container', 'path'].includes(name) ? request.query.get(name) : request.query.flag(name);
    if (request.query.has('command')) options.command = [...request.query.all('command')];
    if (request.query.has('ports')) options.ports = request.query.all('ports').flatMap((ports) => ports.split(',')).map(Number);
    const attributes = attributesOf(call, 'CONNECT', false, { object: options });
    await admit(context.admission, attributes);
    await validateAdmission(context.admission, attributes);
    return info.subresource === 'proxy' ? proxy(call, config) : connectPod(call, config);
  };
}
