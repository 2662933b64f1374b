/**
 * Pods near to and away from other pods, by topology domain. Required terms filter (also those of pods already running, against
 * the newcomer), preferred ones score. Source: kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node, KEP-3633
 * (matchLabelKeys); plugins/interpodaffinity.
 */
import { type Selector, selectorFrom } from '../../api/label-selector.ts';
import { namespaces, nodes, pods } from '../../api/resources.ts';
import type { Pod, PodAffinityTerm, WeightedPodAffinityTerm } from '../../api/core/v1.ts';
import { definePlugin, fits, maxNodeScore, type Snapshot, unresolvable, unschedulable } from '../framework.ts';
import type { NodeInfo } from '../node-info.ts';

interface Term { topologyKey: string; selector: Selector; namespaces: ReadonlySet<string>; namespaceSelector: Selector | undefined; weight: number }

interface State {
  affinity: readonly Term[];
  antiAffinity: readonly Term[];
  /** 'key\0value' of domains: matching pods for the newcomer's required terms, and terms of running pods that refuse it. */
  near: ReadonlyMap<string, number>;
  away: ReadonlyMap<string, number>;
  refusing: ReadonlyMap<string, number>;
  /** No pod anywhere matches the affinity, but the newcomer itself does: it may be the first. */
  first: boolean;
}

/** Weight of a preferred match with a running pod's required affinity. Source: DefaultHardPodAffinityWeight. */
const hardAffinityWeight = 1;

const noAffinity = unresolvable("node(s) didn't match pod affinity rules");
const noAntiAffinity = unschedulable(["node(s) didn't match pod anti-affinity rules"]);
const refusedByOthers = unschedulable(["node(s) didn't satisfy existing pods anti-affinity rules"]);

/** Terms are compiled once per pod object. */
const compiled = new WeakMap<PodAffinityTerm, Term>();
function compile(pod: Pod, term: PodAffinityTerm, weight = 0): Term {
  let found = compiled.get(term);
  if (!found) {
    const labels = pod.metadata.labels ?? {};
    const expressions = (keys: readonly string[] | undefined, operator: string) => (keys ?? []).flatMap((key) => (labels[key] === undefined ? [] : [{ key, operator, values: [labels[key]] }]));
    const extra = [...expressions(term.matchLabelKeys, 'In'), ...expressions(term.mismatchLabelKeys, 'NotIn')];
    const own = (term.namespaces?.length ?? 0) === 0 && !term.namespaceSelector ? [pod.metadata.namespace ?? ''] : term.namespaces ?? [];
    found = {
      topologyKey: term.topologyKey, namespaces: new Set(own), weight,
      selector: selectorFrom(term.labelSelector && extra.length > 0 ? { ...term.labelSelector, matchExpressions: [...term.labelSelector.matchExpressions ?? [], ...extra] } : term.labelSelector),
      namespaceSelector: term.namespaceSelector && selectorFrom(term.namespaceSelector),
    };
    compiled.set(term, found);
  }
  return found;
}
const required = (pod: Pod, kind: 'podAffinity' | 'podAntiAffinity') => (pod.spec.affinity?.[kind]?.requiredDuringSchedulingIgnoredDuringExecution ?? []).map((term) => compile(pod, term));
const preferred = (pod: Pod, kind: 'podAffinity' | 'podAntiAffinity') =>
  (pod.spec.affinity?.[kind]?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(({ podAffinityTerm, weight }: WeightedPodAffinityTerm) => compile(pod, podAffinityTerm, weight));

function matches(term: Term, pod: Pod, snapshot: Snapshot): boolean {
  const namespace = pod.metadata.namespace ?? '';
  const inScope = term.namespaces.has(namespace) || (term.namespaceSelector !== undefined && term.namespaceSelector.matches(snapshot.namespaceLabels(namespace)));
  return inScope && term.selector.matches(pod.metadata.labels);
}

const domainOf = (node: NodeInfo, key: string): string | undefined => {
  const value = node.node.metadata.labels?.[key];
  return value === undefined ? undefined : `${key}\0${value}`;
};
function add(counts: Map<string, number>, domain: string | undefined, amount: number): void {
  if (domain !== undefined) counts.set(domain, (counts.get(domain) ?? 0) + amount);
}

export const interPodAffinity = definePlugin<State>({
  name: 'InterPodAffinity',
  requeueOn: [{ resource: pods, on: ['add', 'update', 'delete'] }, { resource: nodes, on: ['add', 'update'] }, { resource: namespaces, on: ['add', 'update'] }],
  preFilter({ pod }, snapshot) {
    const affinity = required(pod, 'podAffinity');
    const antiAffinity = required(pod, 'podAntiAffinity');
    const near = new Map<string, number>();
    const away = new Map<string, number>();
    const refusing = new Map<string, number>();
    for (const node of snapshot.nodesWithRequiredAntiAffinity()) {
      for (const { pod: other } of node.podsWithRequiredAntiAffinity.values()) {
        for (const term of required(other, 'podAntiAffinity')) if (matches(term, pod, snapshot)) add(refusing, domainOf(node, term.topologyKey), 1);
      }
    }
    if (affinity.length === 0 && antiAffinity.length === 0) return refusing.size === 0 ? 'skip' : { state: { affinity, antiAffinity, near, away, refusing, first: false } };
    for (const node of snapshot.nodes) {
      for (const { pod: other } of node.pods.values()) {
        // A pod counts as near when it matches all affinity terms together.
        if (affinity.length > 0 && affinity.every((term) => matches(term, other, snapshot))) for (const term of affinity) add(near, domainOf(node, term.topologyKey), 1);
        for (const term of antiAffinity) if (matches(term, other, snapshot)) add(away, domainOf(node, term.topologyKey), 1);
      }
    }
    return { state: { affinity, antiAffinity, near, away, refusing, first: near.size === 0 && affinity.every((term) => matches(term, pod, snapshot)) } };
  },
  filter({ affinity, antiAffinity, near, away, refusing, first }, node) {
    for (const { topologyKey } of affinity) {
      const domain = domainOf(node, topologyKey);
      if (domain === undefined || (!near.has(domain) && !first)) return noAffinity;
    }
    for (const { topologyKey } of antiAffinity) if (away.has(domainOf(node, topologyKey) ?? '')) return noAntiAffinity;
    if (refusing.size > 0) for (const domain of refusing.keys()) if (domainOf(node, domain.slice(0, domain.indexOf('\0'))) === domain) return refusedByOthers;
    return fits;
  },
  preScore({ pod }, among, _, snapshot) {
    const wanted = preferred(pod, 'podAffinity');
    const unwanted = preferred(pod, 'podAntiAffinity');
    const scores = new Map<string, number>();
    const own = wanted.length > 0 || unwanted.length > 0;
    for (const node of own ? among : snapshot.nodesWithAffinity()) {
      for (const { pod: other } of own ? node.pods.values() : node.podsWithAffinity.values()) {
        for (const term of wanted) if (matches(term, other, snapshot)) add(scores, domainOf(node, term.topologyKey), term.weight);
        for (const term of unwanted) if (matches(term, other, snapshot)) add(scores, domainOf(node, term.topologyKey), -term.weight);
        if (!other.spec.affinity) continue;
        for (const term of required(other, 'podAffinity')) if (matches(term, pod, snapshot)) add(scores, domainOf(node, term.topologyKey), hardAffinityWeight);
        for (const term of preferred(other, 'podAffinity')) if (matches(term, pod, snapshot)) add(scores, domainOf(node, term.topologyKey), term.weight);
        for (const term of preferred(other, 'podAntiAffinity')) if (matches(term, pod, snapshot)) add(scores, domainOf(node, term.topologyKey), -term.weight);
      }
    }
    return scores.size === 0 ? 'skip' : scores;
  },
  score(scores: Map<string, number>, node) {
    let sum = 0;
    for (const [domain, score] of scores) if (domainOf(node, domain.slice(0, domain.indexOf('\0'))) === domain) sum += score;
    return sum;
  },
  normalize(scores) {
    const max = Math.max(...scores);
    const range = max - Math.min(...scores);
    for (const [i, score] of scores.entries()) scores[i] = range === 0 ? 0 : Math.floor((maxNodeScore * (score - (max - range))) / range);
  },
  weight: 2,
});
