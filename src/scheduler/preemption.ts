/**
 * Preemption: where a pod fits nowhere, which pods of lower priority would have to go, and from which node. Pure; `scheduler.ts` acts
 * on the plan. Source: kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption, scheduler/framework/preemption.
 */
import { selectorFrom } from '../api/label-selector.ts';
import type { PodDisruptionBudget } from '../api/policy/v1.ts';
import { fitMessage, refusalWith } from './cycle.ts';
import type { Plugin, Refusal, Snapshot } from './framework.ts';
import type { NodeInfo } from './node-info.ts';
import type { PodInfo } from './pod-info.ts';

export type PreemptionPlan = { nodeName: string; victims: PodInfo[] } | { message: string };

/** Candidate nodes tried out at least, and as a share of all. Source: DefaultPreemptionArgs. */
const minCandidates = 100;
const candidateShare = 0.1;

interface Candidate { node: NodeInfo; victims: PodInfo[]; violations: number }

export function planPreemption(pod: PodInfo, plugins: readonly Plugin[], snapshot: Snapshot, refusals: ReadonlyMap<NodeInfo, Refusal>, budgets: readonly PodDisruptionBudget[]): PreemptionPlan {
  const nodeCount = snapshot.nodes.length;
  if (pod.pod.spec.preemptionPolicy === 'Never') return { message: 'not eligible due to preemptionPolicy=Never.' };
  if (victimsStillEnding(pod, snapshot)) return { message: 'not eligible due to a terminating pod on the nominated node.' };
  const limit = Math.max(minCandidates, Math.floor(nodeCount * candidateShare));
  const candidates: Candidate[] = [];
  const reasons: Refusal[] = [];
  for (const [node, refusal] of refusals) {
    if (!refusal.resolvable) { reasons.push(notHelpful); continue; }
    if (candidates.length >= limit) break;
    const candidate = selectVictims(pod, node, plugins, snapshot, budgets);
    if (candidate) candidates.push(candidate); else reasons.push(noVictims);
  }
  if (candidates.length === 0) return { message: fitMessage(nodeCount, reasons) };
  const best = candidates.reduce((a, b) => (better(b, a) ? b : a));
  return { nodeName: best.node.name, victims: best.victims };
}

const notHelpful: Refusal = { reasons: ['Preemption is not helpful for scheduling'], resolvable: false };
const noVictims: Refusal = { reasons: ['No preemption victims found for incoming pod'], resolvable: false };

/** Room is being made already: pods of lower priority are ending on the node it was promised. */
function victimsStillEnding(pod: PodInfo, snapshot: Snapshot): boolean {
  const nominated = snapshot.node(pod.pod.status?.nominatedNodeName ?? '');
  if (!nominated) return false;
  return [...nominated.pods.values()].some((other) => other.priority < pod.priority && other.pod.metadata.deletionTimestamp !== undefined);
}

/** The fewest, least important pods whose end lets the pod fit: all lower ones go, then come back one by one, dearest first. */
function selectVictims(pod: PodInfo, node: NodeInfo, plugins: readonly Plugin[], snapshot: Snapshot, budgets: readonly PodDisruptionBudget[]): Candidate | undefined {
  const lower = [...node.pods.values()].filter((other) => other.priority < pod.priority);
  if (lower.length === 0) return undefined;
  const gone = new Set(lower);
  const fitsWithout = () => refusalWith(plugins, pod, node, snapshot, (copy) => { for (const victim of gone) copy.removePod(victim.uid); }) === undefined;
  if (!fitsWithout()) return undefined;
  const protectedBy = violating(lower, budgets);
  let violations = 0;
  for (const other of lower.sort((a, b) => Number(protectedBy.has(b)) - Number(protectedBy.has(a)) || moreImportant(a, b))) {
    gone.delete(other);
    if (fitsWithout()) continue;
    gone.add(other);
    if (protectedBy.has(other)) violations++;
  }
  return { node, victims: lower.filter((other) => gone.has(other)), violations };
}

/** Pods whose eviction a disruption budget does not allow, each budget counted down as its pods are taken. */
function violating(lower: readonly PodInfo[], budgets: readonly PodDisruptionBudget[]): Set<PodInfo> {
  const left = budgets.map((budget) => ({ budget, selector: selectorFrom(budget.spec.selector), allowed: budget.status?.disruptionsAllowed ?? 0 }));
  const found = new Set<PodInfo>();
  for (const other of lower) {
    for (const entry of left) {
      const { metadata } = other.pod;
      if (entry.budget.metadata.namespace !== metadata.namespace || entry.selector.empty || !entry.selector.matches(metadata.labels)) continue;
      if (entry.budget.status?.disruptedPods?.[metadata.name] !== undefined) continue;
      if (--entry.allowed < 0) found.add(other);
    }
  }
  return found;
}

/** Higher priority first, then the longer running. */
function moreImportant(a: PodInfo, b: PodInfo): number {
  return b.priority - a.priority || ((a.pod.status?.startTime ?? '') < (b.pod.status?.startTime ?? '') ? -1 : 1);
}

/** Fewer broken budgets, then a lower highest priority, a lower sum, fewer victims, and at last the later start of the highest. */
function better(a: Candidate, b: Candidate): boolean {
  const measures = ({ victims, violations }: Candidate): number[] => {
    const highest = Math.max(...victims.map((victim) => victim.priority));
    const earliest = victims.filter((victim) => victim.priority === highest).map((victim) => Date.parse(victim.pod.status?.startTime ?? '') || 0);
    return [violations, highest, victims.reduce((sum, victim) => sum + victim.priority + 2 ** 31, 0), victims.length, -Math.min(...earliest)];
  };
  const [left, right] = [measures(a), measures(b)];
  for (const [i, measure] of left.entries()) if (measure !== right[i]) return measure < right[i]!;
  return false;
}
