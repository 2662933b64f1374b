import { nodes } from '../../api/resources.ts';
import { definePlugin, fits, unresolvable } from '../framework.ts';

/** Keeps to the node the pod names. */
export const nodeName = definePlugin<string>({
  name: 'NodeName',
  requeueOn: [{ resource: nodes, on: ['add'] }],
  preFilter: ({ pod }) => (pod.spec.nodeName ? { state: pod.spec.nodeName } : 'skip'),
  filter: (wanted, node) => (wanted === node.name ? fits : unresolvable("node(s) didn't match the requested node name")),
});
