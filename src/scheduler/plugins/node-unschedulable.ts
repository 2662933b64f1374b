import { nodes } from '../../api/resources.ts';
import type { Taint } from '../../api/core/v1.ts';
import { tolerates } from '../../api/core/tolerations.ts';
import { definePlugin, fits, unresolvable } from '../framework.ts';

const cordoned: Taint = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' };

/** Keeps pods off cordoned nodes, unless they tolerate that. */
export const nodeUnschedulable = definePlugin({
  name: 'NodeUnschedulable',
  requeueOn: [{ resource: nodes, on: ['add', 'update'] }],
  filter: (_, node, pod) => (node.node.spec.unschedulable !== true || tolerates(pod.tolerations, cordoned) ? fits : unresolvable('node(s) were unschedulable')),
});
