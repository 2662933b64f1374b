import { nodes, pods } from '../../api/resources.ts';
import { definePlugin, fits, unschedulable } from '../framework.ts';

/** Keeps pods off nodes where a host port they want is taken. */
export const nodePorts = definePlugin({
  name: 'NodePorts',
  requeueOn: [{ resource: pods, on: ['delete'] }, { resource: nodes, on: ['add', 'update'] }],
  preFilter: (pod) => (pod.hostPorts.length === 0 ? 'skip' : { state: undefined }),
  filter: (_, node, pod) => (pod.hostPorts.some((port) => node.portTaken(port)) ? unschedulable(["node(s) didn't have free ports for the requested pod ports"]) : fits),
});
