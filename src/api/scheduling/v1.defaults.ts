/** Defaults of scheduling.k8s.io/v1. Source: Kubernetes API reference. */
import type { Draft } from '../../base/json.ts';
import type * as v1 from './v1.ts';

export function setPriorityClassDefaults(priorityClass: Draft<v1.PriorityClass>): void { priorityClass.preemptionPolicy ??= 'PreemptLowerPriority'; }
