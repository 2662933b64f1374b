/** pods/eviction: a delete that PodDisruptionBudgets may refuse. Source: upstream's pkg/registry/core/pod/storage/eviction.go; KEP-85. */
import { timestamp } from '../../base/clock.ts';
import type { Draft, JsonObject } from '../../base/json.ts';
import { selectorFrom } from '../../api/label-selector.ts';
import type { Pod } from '../../api/core/v1.ts';
import type { Eviction, PodDisruptionBudget } from '../../api/policy/v1.ts';
import { badRequest, forbidden, StatusError } from '../../api/meta/status.ts';
import type { DeleteOptions } from '../../api/meta/v1.ts';
import type { ApiResult } from '../request.ts';
import { admit, validateAdmission } from './admission.ts';
import { decodeBody, expectedKind, isDryRun } from './body.ts';
import { existing, type Call } from './context.ts';
import { removeObject } from './delete.ts';
import { attributesOf, changeStored } from './write.ts';

/** Evictions that the disruption controller has not seen yet, per budget. */
const maxDisruptedPods = 2000;
const retryAfterSeconds = 10;

/** kubectl before 1.22 evicts with policy/v1beta1, which upstream still reads here. */
const evictionKind = { ...expectedKind('policy/v1', 'Eviction', 'policy/v1.Eviction'), alsoAccepted: ['policy/v1beta1'] };

export async function evict(call: Call): Promise<ApiResult> {
  const { context, request, info } = call;
  const eviction = decodeBody(request, evictionKind) as unknown as Draft<Eviction>;
  if (eviction.metadata?.name && eviction.metadata.name !== info.name) throw badRequest('name in URL does not match name in Eviction object');
  const options = { ...eviction.deleteOptions } as { -readonly [K in keyof DeleteOptions]: DeleteOptions[K] };
  const dryRun = isDryRun([...request.query.all('dryRun'), ...options.dryRun ?? []]);
  if (dryRun) options.dryRun = ['All'];
  const attributes = attributesOf(call, 'CREATE', dryRun, { object: eviction as unknown as JsonObject, options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1' } });
  await admit(context.admission, attributes);
  await validateAdmission(context.admission, attributes);
  const pod = (await existing(call)).object as unknown as Pod;
  if (!endsAnyway(pod)) await spendBudget(call, pod, dryRun);
  if (!hasEnded(pod)) {
    const { resourceVersion, ...preconditions } = options.preconditions ?? {};
    if (resourceVersion === undefined || resourceVersion === pod.metadata.resourceVersion) {
      // The note itself changes the revision that the caller asked for.
      await noteDisruption(call, dryRun);
      if (options.preconditions) options.preconditions = preconditions;
    }
  }
  await removeObject({ ...call, info: { ...info, subresource: '' } }, options);
  return { type: 'value', code: 201, value: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 } };
}

const endsAnyway = ({ status, metadata }: Pod) => status?.phase === 'Succeeded' || status?.phase === 'Failed' || status?.phase === 'Pending' || metadata.deletionTimestamp !== undefined;
const hasEnded = ({ status }: Pod) => status?.phase === 'Succeeded' || status?.phase === 'Failed';

/** Jobs' failure policies tell by this that the pod is not to blame. KEP-3329. */
async function noteDisruption(call: Call, dryRun: boolean): Promise<void> {
  const lastTransitionTime = timestamp(call.context.clock.now());
  await changeStored({ ...call, info: { ...call.info, subresource: 'status' } }, (draft) => {
    const next = draft as unknown as Draft<Pod>;
    const { conditions = [], ...status } = next.status ?? {};
    if (conditions.some(({ type, status: value }) => type === 'DisruptionTarget' && value === 'True')) return 'keep';
    next.status = { ...status, conditions: [...conditions.filter(({ type }) => type !== 'DisruptionTarget'), { type: 'DisruptionTarget', status: 'True', reason: 'EvictionByEvictionAPI', message: 'Eviction API: evicting', lastTransitionTime }] };
    return 'write';
  }, dryRun);
}
const isReady = ({ status }: Pod) => (status?.conditions ?? []).some(({ type, status: value }) => type === 'Ready' && value === 'True');

async function spendBudget(call: Call, pod: Pod, dryRun: boolean): Promise<void> {
  const { context, info } = call;
  const budgets = context.resources.find('policy', 'v1', 'poddisruptionbudgets');
  if (!budgets) return;
  await budgets.cache.ready();
  const matching = budgets.cache.list(info.namespace).filter(({ object }) => selectorFrom((object as unknown as PodDisruptionBudget).spec.selector).matches(pod.metadata.labels));
  if (matching.length === 0) return;
  if (matching.length > 1) throw new StatusError({ code: 500, message: 'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.' });
  const budget = matching[0]!.object as unknown as PodDisruptionBudget;
  if (!isReady(pod)) {
    const { unhealthyPodEvictionPolicy = 'IfHealthyBudget' } = budget.spec;
    const { currentHealthy = 0, desiredHealthy = 0 } = budget.status ?? {};
    if (unhealthyPodEvictionPolicy === 'AlwaysAllow' || (currentHealthy >= desiredHealthy && desiredHealthy > 0)) return;
  }
  const { name } = budget.metadata;
  await changeStored({ ...call, resource: budgets, info: { ...info, name, subresource: 'status' } }, (draft) => {
    const next = draft as unknown as Draft<PodDisruptionBudget>;
    const status = next.status;
    if (!status || (status.observedGeneration ?? 0) < (next.metadata.generation ?? 0)) throw tooSoon(`The disruption budget ${name} is still being processed by the server.`, retryAfterSeconds);
    const allowed = status.disruptionsAllowed ?? 0;
    if (allowed < 0) throw forbidden({ group: 'policy', resource: 'poddisruptionbudget' }, name, 'pdb disruptions allowed is negative');
    const disrupted = (status.disruptedPods ??= {});
    if (Object.keys(disrupted).length > maxDisruptedPods) throw forbidden({ group: 'policy', resource: 'poddisruptionbudget' }, name, 'DisruptedPods map too big - too many evictions not confirmed by PDB controller');
    if (allowed === 0) throw tooSoon(`The disruption budget ${name} needs ${status.desiredHealthy} healthy pods and has ${status.currentHealthy} currently`, undefined);
    status.disruptionsAllowed = allowed - 1;
    // The controller takes the pod off the list once it sees it gone, or gives the disruption back.
    disrupted[pod.metadata.name] = timestamp(context.clock.now());
    if (allowed === 1) {
      const condition = (status.conditions ?? []).find(({ type }) => type === 'DisruptionAllowed');
      if (condition && condition.status !== 'False') Object.assign(condition, { status: 'False', reason: 'InsufficientPods', lastTransitionTime: timestamp(context.clock.now()), observedGeneration: status.observedGeneration });
    }
    return 'write';
  }, dryRun);
}

function tooSoon(cause: string, retry: number | undefined): StatusError {
  return new StatusError({
    code: 429, reason: 'TooManyRequests', message: "Cannot evict pod as it would violate the pod's disruption budget.",
    details: { causes: [{ reason: 'DisruptionBudget', message: cause }], ...(retry === undefined ? {} : { retryAfterSeconds: retry }) },
  });
}
