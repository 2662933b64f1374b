/** Fills the rules of ClusterRoles that have an aggregationRule with those of the roles it selects. Upstream: pkg/controller/clusterroleaggregation. */
import { clusterroles } from '../api/resources.ts';
import type { ClusterRole, PolicyRule } from '../api/rbac/v1.ts';
import { canonical, same } from './canonical.ts';
import { defineController, done } from './framework.ts';
import { labelSelector } from './pods.ts';

export const clusterRoleAggregationController = defineController({
  name: 'clusterrole-aggregation-controller', aliases: ['clusterrole-aggregation'], writes: ['clusterroles'],
  watches: [{
    resource: clusterroles,
    // Any role may feed any aggregated one.
    keys: (_, { cache }) => cache(clusterroles).byIndex('aggregated', 'true').map((role) => role.metadata.name),
  }],
  setup: ({ cache }) => cache(clusterroles).addIndex('aggregated', (role) => (role.aggregationRule ? ['true'] : [])),
  async reconcile(name, { cache, client }, signal) {
    const role = cache(clusterroles).get(name);
    if (!role?.aggregationRule) return done;
    const rules = aggregate(role, cache(clusterroles).list());
    if (same(rules, role.rules ?? [])) return done;
    await client.for(clusterroles).update({ ...role, rules }, { signal });
    return done;
  },
});

export function aggregate(role: ClusterRole, all: readonly ClusterRole[]): PolicyRule[] {
  const rules = new Map<string, PolicyRule>();
  const sorted = [...all].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  for (const selector of role.aggregationRule?.clusterRoleSelectors ?? []) {
    const { matches } = labelSelector(selector);
    for (const other of sorted) {
      if (other.metadata.name === role.metadata.name || !matches(other.metadata.labels)) continue;
      for (const rule of other.rules ?? []) if (!rules.has(canonical(rule))) rules.set(canonical(rule), rule);
    }
  }
  return [...rules.values()];
}
