/** Defaults of flowcontrol.apiserver.k8s.io/v1. Source: Kubernetes API reference; upstream's pkg/apis/flowcontrol/v1/defaults.go. */
import type { Draft } from '../../base/json.ts';
import type * as v1 from './v1.ts';

export function setFlowSchemaDefaults({ spec }: Draft<v1.FlowSchema>): void {
  if (spec) spec.matchingPrecedence ||= 1000;
}
export function setPriorityLevelDefaults({ spec }: Draft<v1.PriorityLevelConfiguration>): void {
  if (!spec) return;
  if (spec.type === 'Exempt') {
    const exempt = (spec.exempt ??= {});
    exempt.nominalConcurrencyShares ??= 0;
    exempt.lendablePercent ??= 0;
  }
  if (spec.limited) {
    spec.limited.nominalConcurrencyShares ??= 30;
    spec.limited.lendablePercent ??= 0;
    const queuing = spec.limited.limitResponse?.queuing;
    if (queuing) { queuing.queues ||= 64; queuing.handSize ||= 8; queuing.queueLengthLimit ||= 50; }
  }
}
