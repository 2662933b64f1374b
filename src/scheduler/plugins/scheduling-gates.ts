import { definePlugin, unresolvable } from '../framework.ts';

/** Holds pods back until all their schedulingGates are removed. KEP-3521. */
export const schedulingGates = definePlugin({
  name: 'SchedulingGates',
  requeueOn: [],
  preEnqueue({ pod }) {
    const gates = pod.spec.schedulingGates ?? [];
    return gates.length === 0 ? undefined : unresolvable(`waiting for scheduling gates: [${gates.map((gate) => gate.name).join(' ')}]`);
  },
});
