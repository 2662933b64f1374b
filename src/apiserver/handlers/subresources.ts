/** Which handler answers a subresource: the object's own (status and its like), scale, the pod verbs, tokens, and connections to nodes. */
import type { ApiResult } from '../request.ts';
import { noSuchMethod, type Call } from './context.ts';
import { bind } from './binding.ts';
import { evict } from './eviction.ts';
import { patch } from './patch.ts';
import { get } from './read.ts';
import { getScale, patchScale, updateScale } from './scale.ts';
import { requestToken } from './token-request.ts';
import { update } from './write.ts';

type Handler = (call: Call) => Promise<ApiResult>;
/** Subresources that are the object itself with some fields open to change. */
const own: Readonly<Record<string, Handler>> = { get, update, patch };
const scale: Readonly<Record<string, Handler>> = { get: getScale, update: updateScale, patch: patchScale };
const creates: Readonly<Record<string, Handler>> = { binding: bind, eviction: evict, token: requestToken };

/** Undefined: there is no such subresource, or not with this verb. */
export function subresourceHandler({ info, resource, context }: Call): Handler | undefined {
  const names = resource.names.subresources[info.subresource];
  if (!names) return undefined;
  const verbs: readonly string[] = names.verbs ?? ['get', 'patch', 'update'];
  if (verbs.includes('connect') || info.subresource === 'log') {
    return async (call) => { if (!context.connect) throw noSuchMethod(); return context.connect(call); };
  }
  if (!verbs.includes(info.verb)) return undefined;
  if (info.subresource === 'scale') return scale[info.verb];
  if (info.verb === 'create') return creates[info.subresource];
  return own[info.verb];
}
