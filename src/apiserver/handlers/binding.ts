/** pods/binding and bindings: puts a pod on a node, once. Source: upstream's pkg/registry/core/pod/storage/storage.go. */
import { timestamp } from '../../base/clock.ts';
import type { Draft, JsonObject } from '../../base/json.ts';
import type { Binding, Pod, PodCondition } from '../../api/core/v1.ts';
import { badRequest, conflict, invalid, type FieldError } from '../../api/meta/status.ts';
import * as problem from '../../api/validation/field.ts';
import type { ApiResult } from '../request.ts';
import { admit, validateAdmission } from './admission.ts';
import { decodeBody, expectedKind, isDryRun } from './body.ts';
import { noSuchResource, type Call } from './context.ts';
import { attributesOf, changeStored } from './write.ts';

const bindingResource = { group: '', resource: 'pods/binding' };

export async function bind(call: Call): Promise<ApiResult> {
  const { context, request, info } = call;
  const dryRun = isDryRun(request.query.all('dryRun'));
  const binding = decodeBody(request, expectedKind('v1', 'Binding', 'core/v1.Binding')) as unknown as Draft<Binding>;
  const name = info.name || binding.metadata?.name;
  if (!name) throw badRequest('name must be provided');
  if (binding.metadata?.name && binding.metadata.name !== name) throw badRequest('name in URL does not match name in Binding object');
  if (binding.metadata?.namespace && binding.metadata.namespace !== info.namespace) throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  const attributes = attributesOf({ ...call, info: { ...info, name } }, 'CREATE', dryRun, { object: binding as unknown as JsonObject, options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1' } });
  await admit(context.admission, attributes);
  const errors: FieldError[] = [];
  const kind = binding.target?.kind ?? '';
  if (kind !== '' && kind !== 'Node') errors.push(problem.notSupported(problem.field('target', 'kind'), kind, ['Node', '<empty>']));
  if (!binding.target?.name) errors.push(problem.required(problem.field('target', 'name')));
  if (errors.length > 0) throw invalid({ group: '', kind: 'Binding' }, name, errors);
  await validateAdmission(context.admission, attributes);

  const pods = context.resources.find('', 'v1', 'pods');
  if (!pods) throw noSuchResource();
  await changeStored({ ...call, resource: pods, info: { ...info, name } }, (draft) => {
    const pod = draft as unknown as Draft<Pod>;
    const { metadata } = pod;
    const refuse = (why: string) => conflict(bindingResource, name, why);
    if (binding.metadata?.uid && binding.metadata.uid !== metadata.uid) throw refuse(`Precondition failed: UID in precondition: ${binding.metadata.uid}, UID in object meta: ${metadata.uid}`);
    if (binding.metadata?.resourceVersion && binding.metadata.resourceVersion !== metadata.resourceVersion) throw refuse(`Precondition failed: ResourceVersion in precondition: ${binding.metadata.resourceVersion}, ResourceVersion in object meta: ${metadata.resourceVersion}`);
    if (metadata.deletionTimestamp) throw refuse(`pod ${name} is being deleted, cannot be assigned to a host`);
    if (pod.spec.nodeName) throw refuse(`pod ${name} is already assigned to node ${JSON.stringify(pod.spec.nodeName)}`);
    if ((pod.spec.schedulingGates ?? []).length > 0) throw refuse(`pod ${name} has non-empty .spec.schedulingGates`);
    pod.spec.nodeName = binding.target.name!;
    if (binding.metadata?.annotations) metadata.annotations = { ...metadata.annotations, ...binding.metadata.annotations };
    if (binding.metadata?.labels) metadata.labels = { ...metadata.labels, ...binding.metadata.labels };
    setScheduled(pod, timestamp(context.clock.now()));
    return 'write';
  }, dryRun);
  return { type: 'value', code: 201, value: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 } };
}

function setScheduled(pod: Draft<Pod>, now: string): void {
  const status = (pod.status ??= {} as Draft<NonNullable<Pod['status']>>);
  const conditions = (status.conditions ??= []) as Draft<PodCondition>[];
  const known = conditions.find(({ type }) => type === 'PodScheduled');
  const observedGeneration = pod.metadata.generation;
  const next: Draft<PodCondition> = {
    type: 'PodScheduled', status: 'True', lastTransitionTime: known?.status === 'True' && known.lastTransitionTime ? known.lastTransitionTime : now,
    ...(observedGeneration === undefined ? {} : { observedGeneration }),
  };
  if (known) conditions[conditions.indexOf(known)] = next; else conditions.push(next);
}
